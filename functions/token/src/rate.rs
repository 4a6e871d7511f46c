use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use web::subscriber;

/// The length of a window, in seconds.
const WINDOW: u64 = 60;

/// How often addresses asked in the running minute. It lives in this process: the bound is one for each running instance, and
/// costs no write. What the API lets through in all is bounded by its throttle.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_minute: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    minute: u64,
    counts: HashMap<IpAddr, u32>,
}

impl RateLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, window: Mutex::default() }
    }

    /// Counts a request at `now`, Unix time in seconds; `Err` with the seconds until the next window where it is one too many.
    pub(crate) fn count(&self, address: IpAddr, now: u64) -> Result<(), u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.minute != now / WINDOW {
            *window = Window { minute: now / WINDOW, counts: HashMap::new() };
        }
        let count = window.counts.entry(subscriber(address)).or_default();
        *count = count.saturating_add(1);
        if *count > self.per_minute { Err(WINDOW - now % WINDOW) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_count_and_each_minute_a_new_one() {
        let limit = RateLimit::new(2);
        let count = |address: &str, now| limit.count(address.parse().unwrap(), now);
        assert_eq!(
            [count("192.0.2.1", 600), count("192.0.2.1", 610), count("192.0.2.1", 615)],
            [Ok(()), Ok(()), Err(45)]
        );
        assert_eq!([count("192.0.2.2", 615), count("::ffff:192.0.2.1", 616)], [Ok(()), Err(44)]);
        assert_eq!(count("192.0.2.1", 660), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_of_64_bits_count_together() {
        let limit = RateLimit::new(1);
        let count = |address: &str| limit.count(address.parse().unwrap(), 0);
        assert_eq!(
            [count("2001:db8::1"), count("2001:db8::ffff:2"), count("2001:db8:0:1::1")],
            [Ok(()), Err(60), Ok(())]
        );
    }
}

//! What a person at a terminal sees of what takes long.

use std::{
    io::{IsTerminal as _, Write, stderr},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// From when on, and how often, it is said what is waited for.
const SECOND: Duration = Duration::from_secs(1);

/// Whether a line stands on the terminal that is to be cleared before another is written.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Does the work. Where it takes longer than a second and standard error is a terminal, a line there says what is waited for and for
/// how long, until the work ends. Elsewhere nothing is written.
pub(crate) async fn waiting_for<T>(what: &str, work: impl Future<Output = T>) -> T {
    if stderr().is_terminal() { shown(what, work, stderr()).await } else { work.await }
}

/// Clears the line, where one is shown, for another text. It comes back within a second where the work goes on.
pub(crate) fn make_room() {
    if IS_SHOWN.swap(false, Ordering::Relaxed) {
        clear(&mut stderr());
    }
}

async fn shown<T>(what: &str, work: impl Future<Output = T>, out: impl Write) -> T {
    let mut line = Line(out);
    let mut work = pin!(work);
    let began = Instant::now();
    let mut seconds = interval_at(began + SECOND, SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            ended = &mut work => return ended,
            now = seconds.tick() => line.show(what, (now - began).as_secs()),
        }
    }
}

/// A line that is rewritten, and cleared at the end, also where the work is given up.
struct Line<W: Write>(W);

impl<W: Write> Line<W> {
    fn show(&mut self, what: &str, seconds: u64) {
        IS_SHOWN.store(true, Ordering::Relaxed);
        // Where it cannot be shown, the work goes on.
        let _ = write!(self.0, "\rwaiting for {what}: {seconds} s\x1b[K").and_then(|()| self.0.flush());
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        if IS_SHOWN.swap(false, Ordering::Relaxed) {
            clear(&mut self.0);
        }
    }
}

fn clear(out: &mut impl Write) {
    let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(work: impl Future<Output = ()>) -> String {
        let mut written = Vec::new();
        shown("the broker", work, &mut written).await;
        String::from_utf8(written).unwrap()
    }

    // One test: what is shown is the process's.
    #[tokio::test(start_paused = true)]
    async fn what_takes_more_than_a_second_is_shown_until_it_ends() {
        let work = |millis| tokio::time::sleep(Duration::from_millis(millis));
        assert_eq!(written(work(990)).await, "", "what is quick is not spoken of");
        let line = |seconds| format!("\rwaiting for the broker: {seconds} s\x1b[K");
        assert_eq!(written(work(2_500)).await, format!("{}{}\r\x1b[K", line(1), line(2)));
        let mut cut = Vec::new();
        let given_up = tokio::time::timeout(Duration::from_millis(1_500), shown("the broker", work(9_000), &mut cut));
        assert!(given_up.await.is_err());
        assert_eq!(String::from_utf8(cut).unwrap(), format!("{}\r\x1b[K", line(1)), "it is cleared all the same");
    }
}

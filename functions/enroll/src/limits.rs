use ports::{Count as _, Fault};
use protocol::SubjectName;
use web::{Caller, subscriber};

use crate::{
    Ports, Service,
    code::{self, CODE_SECONDS, MAX_TRIES, OpenCode},
    stop::Stop,
};

/// The length of a source's window, in seconds.
const WINDOW: u64 = 300;

const DAY: u64 = 86_400;

/// What a source address is counted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// A request for a code.
    Challenge,
    /// A code that is shown.
    Attempt,
}

/// Counts a request of the caller's address, or of the network of 64 bits that it is in.
pub(crate) async fn count_source<P: Ports>(
    service: &Service<P>,
    counted: Counted,
    caller: &Caller,
    now: u64,
) -> Result<(), Stop> {
    let kind = match counted {
        Counted::Challenge => "challenge",
        Counted::Attempt => "attempt",
    };
    let key = format!("count#{kind}#{}#{}", subscriber(caller.source_ip), now / WINDOW);
    // Rows may be deleted from their ttl on, by a clock that is not this one.
    let ttl = (now / WINDOW + 2) * WINDOW;
    match service.ledger.count(&key, service.config.rate, ttl).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Stop::limited("rate", WINDOW - now % WINDOW)),
        Err(fault) => Err(Stop::fault("ledger", &fault, caller)),
    }
}

/// Whether a subject may have one more code this day.
pub(crate) async fn may_have_code<P: Ports>(
    service: &Service<P>,
    subject: &SubjectName,
    caller: &Caller,
    now: u64,
) -> Result<(), Stop> {
    let counted = service.ledger.counted(&codes_key(subject, now)).await;
    within_day(counted.map(|counted| counted < service.config.codes_per_day), caller, now)
}

/// Counts a code of a subject's day.
pub(crate) async fn count_code<P: Ports>(
    service: &Service<P>,
    subject: &SubjectName,
    caller: &Caller,
    now: u64,
) -> Result<(), Stop> {
    let ttl = (now / DAY + 2) * DAY;
    let counted = service.ledger.count(&codes_key(subject, now), service.config.codes_per_day, ttl).await;
    within_day(counted, caller, now)
}

fn codes_key(subject: &SubjectName, now: u64) -> String {
    format!("count#codes#{}#{}", code::hash(subject), now / DAY)
}

fn within_day(is_within: Result<bool, Fault>, caller: &Caller, now: u64) -> Result<(), Stop> {
    match is_within {
        Ok(true) => Ok(()),
        Ok(false) => Err(Stop::limited("codes_per_day", DAY - now % DAY)),
        Err(fault) => Err(Stop::fault("ledger", &fault, caller)),
    }
}

/// Counts a try of a subject's code; `false` where it is one too many. Without a code it counts as well, so that the work is the
/// same.
pub(crate) async fn count_try<P: Ports>(
    service: &Service<P>,
    subject: &SubjectName,
    open: Option<&OpenCode>,
    caller: &Caller,
    now: u64,
) -> Result<bool, Stop> {
    let counted = open.map_or_else(|| code::hash(subject), |open| open.challenge.clone());
    let key = format!("count#tries#{counted}");
    let tried = service.ledger.count(&key, MAX_TRIES, now + 2 * CODE_SECONDS).await;
    tried.map_err(|fault| Stop::fault("ledger", &fault, caller))
}

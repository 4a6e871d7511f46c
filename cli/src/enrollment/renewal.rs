use std::{sync::Arc, time::Duration};

use ports::{Clock, chain};
use protocol::Random;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep},
};

use crate::{
    Error,
    credential_process::rfc3339,
    enrollment::{EnrollmentError, Renewable, Validity},
    refresh::schedule::{Moment, backoff, share},
    step_ca::StepCaError,
};

/// How long at most nobody looks at the wall clock, which goes on while the machine sleeps, and may be set.
const LOOK: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Keeps a certificate fresh: renews it when two thirds of its life are over, or a little earlier, so that certificates that came
/// together are not renewed together.
///
/// A renewal that fails is tried again after pauses that grow to an hour, or to a quarter of what is left, until the certificate ends.
pub struct Renewal<R> {
    renewable: R,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random + Send + Sync>,
}

/// When something is done next, and when there is nothing left to do.
struct Plan {
    validity: Validity,
    due: Moment,
    end: Moment,
}

impl<R: Renewable> Renewal<R> {
    /// Of this certificate.
    #[must_use]
    pub fn new(renewable: R, clock: Arc<dyn Clock>, random: Arc<dyn Random + Send + Sync>) -> Self {
        Self { renewable, clock, random }
    }

    /// Renews until the certificate ends without a renewal, and returns why; tells of each renewal. `now` has it renewed at once.
    ///
    /// That is [`EnrollmentError::Ended`], or why the certificate cannot be read at first.
    pub async fn run(&self, now: &Notify, renewed: &mpsc::Sender<Validity>) -> Error {
        let mut plan = match self.renewable.validity() {
            Ok(validity) => self.plan(validity, false),
            Err(error) => return error,
        };
        tracing::info!(until = rfc3339(plan.validity.until), due = rfc3339(plan.due.unix_seconds()), "watched");
        let mut failures = 0;
        loop {
            let is_wanted = self.wait(&plan, now).await;
            if let Ok(found) = self.renewable.validity()
                && found != plan.validity
            {
                tracing::info!(until = rfc3339(found.until), "another certificate is there");
                (plan, failures) = (self.plan(found, false), 0);
                if !is_wanted && !plan.due.has_come(self.now()) {
                    continue;
                }
            }
            match self.renewable.renew().await {
                Ok(validity) => {
                    (plan, failures) = (self.plan(validity, true), 0);
                    let due = rfc3339(plan.due.unix_seconds());
                    tracing::info!(until = rfc3339(validity.until), due, "renewed");
                    // Who does not listen does not want to know.
                    let _ = renewed.send(validity).await;
                }
                Err(error) => {
                    failures += 1;
                    if self.is_over(&plan, &error) {
                        return EnrollmentError::Ended(error.into()).into();
                    }
                    let pause = self.pause(&plan, failures);
                    let next_try_in = pause.as_secs().max(1);
                    let until = rfc3339(plan.validity.until);
                    tracing::warn!(error = chain(&error), failures, next_try_in, until, "not renewed");
                    plan.due = self.now().after(pause);
                }
            }
        }
    }

    fn now(&self) -> Moment {
        Moment { wall: self.clock.now(), steady: Instant::now() }
    }

    /// Waits until it is due, with looks at the wall clock; whether it is wanted before.
    async fn wait(&self, plan: &Plan, now: &Notify) -> bool {
        loop {
            let wait = plan.due.wait(self.now());
            if wait.is_zero() {
                return false;
            }
            tokio::select! {
                () = now.notified() => return true,
                () = sleep(wait.min(LOOK)) => {}
            }
        }
    }

    /// Two thirds of the life, less up to a twentieth. What was got just now is left alone for a third of what is left of it, and a
    /// second, at least: a CA may give certificates that are old already, or that end with its own.
    fn plan(&self, validity: Validity, is_new: bool) -> Plan {
        let now = self.now();
        let left = |until: u64| Duration::from_secs(until).saturating_sub(now.wall);
        let early = share(validity.lifetime() / 20, &*self.random);
        let wait = left(validity.two_thirds()).saturating_sub(early);
        // The last second is one in which it is valid.
        let left = left(validity.until.saturating_add(1));
        let least = if is_new { SECOND.max(left / 3) } else { Duration::ZERO };
        Plan { validity, due: now.after(wait.max(least)), end: now.after(left) }
    }

    fn pause(&self, plan: &Plan, failures: u32) -> Duration {
        let left = plan.end.wait(self.now());
        let shortest = (plan.validity.lifetime() / 100).clamp(SECOND, LOOK);
        let longest = if left.is_zero() { LOOK } else { (left / 4).clamp(shortest, LONGEST_PAUSE) };
        backoff(failures, Duration::ZERO, longest, &*self.random)
    }

    /// Whether no other try can help: by the wall clock the certificate has ended, and the CA says so as well, or this machine was
    /// awake for so long. A wall clock that was set wrong, or a network that is not there yet after a sleep, is no end.
    fn is_over(&self, plan: &Plan, error: &Error) -> bool {
        let now = self.now();
        let by_wall = now.unix_seconds() > plan.validity.until;
        let by_steady = plan.end.steady <= now.steady;
        let by_ca = matches!(error, Error::StepCa(StepCaError::CertificateRefused { .. } | StepCaError::Refused(_)));
        by_wall && (by_steady || by_ca)
    }
}

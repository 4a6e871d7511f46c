use std::time::Duration;

use ports::Fault;
use tokio::time::sleep;

/// How long is waited between two tries, and how many there are.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 6;

/// Deletes something to which something else was attached just now: AWS IoT may take seconds to see that it is detached, and
/// has a conflict until then (`DeleteThing`, `DeleteCertificate`).
pub(crate) async fn once_detached<F: Future<Output = Result<(), Fault>>>(delete: impl Fn() -> F) -> Result<(), Fault> {
    for _ in 1..TRIES {
        match delete().await {
            Err(Fault::Conflict) => sleep(PAUSE).await,
            done => return done,
        }
    }
    delete().await
}

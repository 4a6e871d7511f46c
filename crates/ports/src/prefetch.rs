use std::time::{Duration, Instant};

/// How long init waits for what it loads ahead: AWS Lambda ends an init after ten seconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// Loads ahead, before the first invocation, and logs how long it took. What is not loaded in time is loaded by the first
/// request that needs it.
pub async fn prefetch(load: impl Future<Output = ()>) {
    let began = Instant::now();
    // Boxed: the compiler gives up on the layout of futures that are nested this deep.
    if tokio::time::timeout(DEADLINE, Box::pin(load)).await.is_err() {
        tracing::warn!("prefetch given up");
    }
    tracing::info!(elapsed_ms = began.elapsed().as_secs_f64() * 1e3, "prefetched");
}

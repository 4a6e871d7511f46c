//! Logs: one JSON object per line on standard output, where AWS Lambda takes it to CloudWatch Logs.

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The crates whose level is `LOG_LEVEL`.
const OURS: [&str; 13] = [
    "authorize",
    "enroll",
    "exchange",
    "issue",
    "provision",
    "rotate",
    "token",
    "countersign_aws",
    "countersign_issuer",
    "countersign_policy",
    "countersign_ports",
    "countersign_step",
    "countersign_web",
];

/// Starts logging. `LOG_LEVEL` (`error`, `warn`, `info`, `debug`; by default `info`) is the level of Countersign's own
/// crates. Libraries are held at `warn`, whatever it says: at lower levels an SDK may log what it sends and receives.
/// Audit events are always written.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("audit", LevelFilter::INFO)
        .with_targets(OURS.map(|name| (name, level)));
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

use std::time::Duration;

use countersign::{
    Error,
    endpoint::{EndpointError, probe},
};
use tokio::time::{Instant, sleep};

use crate::agent_args::ProbeAgent;

/// Between two probes that wait.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(ProbeAgent { what, wait, needs }: ProbeAgent) -> Result<(), Error> {
    let settings = needs.config()?.endpoint.ok_or(EndpointError::NotConfigured)?;
    let end = Instant::now() + wait;
    loop {
        match probe(&settings, what.into()).await {
            Err(Error::Endpoint(EndpointError::Silent { .. } | EndpointError::NotReady)) if Instant::now() < end => {
                sleep(PAUSE).await;
            }
            ended => return ended,
        }
    }
}

use countersign::{
    Error,
    endpoint::{EndpointError, probe},
};

use crate::agent_args::ProbeAgent;

pub(crate) async fn run(ProbeAgent { what, needs }: ProbeAgent) -> Result<(), Error> {
    let settings = needs.config()?.endpoint.ok_or(EndpointError::NotConfigured)?;
    probe(&settings, what.into()).await
}

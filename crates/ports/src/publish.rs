use protocol::{Manifest, Pool, Secret};

use crate::Fault;

/// Publishes a group's material where clients fetch it.
pub trait PublishMaterial: Send + Sync + 'static {
    /// Publishes a generation unless it is the latest there, and gives the version that it has there.
    ///
    /// Source: npm's registry API, `PUT /<package>`.
    fn publish(
        &self,
        package: &str,
        token: Secret<String>,
        manifest: &Manifest,
        pool: &Pool,
    ) -> impl Future<Output = Result<String, Fault>> + Send;
}

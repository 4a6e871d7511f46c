use ports::{Fault, PublishMaterial};
use protocol::{Manifest, Pool, Secret};

use crate::{Error, Registry};

/// A registry for functions: connections are made when something is published.
#[derive(Clone, Debug)]
pub struct NpmRegistry(pub String);

impl PublishMaterial for NpmRegistry {
    async fn publish(
        &self,
        package: &str,
        token: Secret<String>,
        manifest: &Manifest,
        pool: &Pool,
    ) -> Result<String, Fault> {
        let name = package.parse().map_err(|_| Fault::Unusable("not a package's name"))?;
        let registry = Registry::new(&self.0, Some(token)).map_err(fault)?;
        registry.publish(&name, manifest, pool).await.map(|there| there.version.to_string()).map_err(fault)
    }
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Unauthorized => Fault::Forbidden(error.into()),
        Error::Conflict => Fault::Conflict,
        Error::Missing
        | Error::Url
        | Error::NoToken
        | Error::Public
        | Error::Status(_)
        | Error::Unreachable(_)
        | Error::Malformed(_)
        | Error::Integrity => Fault::Unavailable(error.into()),
    }
}

use std::time::Duration;

use http::{Http, MAX_TRIES, pause, share};
use npm::{PackageName, Publication, Registry};
use ports::{Clock as _, SystemClock};
use protocol::{Answer, Group, Manifest, Request, SystemRandom, Want};
use reqwest::{StatusCode, header};
use serde::Deserialize;
use url::Url;

use crate::{
    Error, Material, MaterialDir, Origin, StoredMaterial,
    send::{Failed, send},
};

/// The largest answer, in bytes: 16 secrets of 64 KiB with room for encodings.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A client of one group.
#[derive(Debug)]
pub struct Client {
    http: Http,
    materials: MaterialDir,
    group: Group,
    origin: Option<Origin>,
    url: Option<String>,
    timeout: Duration,
}

/// The members of a problem (RFC 9457) that a client uses.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
}

impl Client {
    /// A client that proves itself with the group's material in this folder.
    #[must_use]
    pub fn new(materials: MaterialDir, group: Group) -> Self {
        Self { http: Http::default(), materials, group, origin: None, url: None, timeout: Duration::from_secs(30) }
    }

    /// Names the place that missing or outdated material is pulled from.
    #[must_use]
    pub fn pull_from(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// Sends requests to this URL in place of the manifest's.
    #[must_use]
    pub fn url(self, url: Option<String>) -> Self {
        Self { url, ..self }
    }

    /// How long an exchange or a pull may take, tries and pauses included. By default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Pulls the group's material and stores it.
    ///
    /// # Errors
    /// [`Error::Pull`], [`Error::File`]; [`Error::NoMaterial`] where no origin was named.
    pub async fn pull(&self) -> Result<Material, Error> {
        tokio::time::timeout(self.timeout, self.fetch()).await.map_err(|_| Error::TimedOut)?
    }

    async fn fetch(&self) -> Result<Material, Error> {
        let origin = self.origin.as_ref().ok_or_else(|| Error::NoMaterial(self.materials.path().to_owned()))?;
        let material = origin.fetch(&self.group).await?;
        self.materials.save(&material)?;
        Ok(material)
    }

    /// Publishes the group's material, as it is at the origin, to the npm registry of the environment.
    ///
    /// # Errors
    /// [`Error::Registry`], [`Error::Pull`], [`Error::Publish`]; [`Error::NoMaterial`] where no origin was named.
    pub async fn publish(&self, package: &PackageName) -> Result<(Manifest, Publication), Error> {
        let publish = async {
            let origin = self.origin.as_ref().ok_or_else(|| Error::NoMaterial(self.materials.path().to_owned()))?;
            let registry = Registry::from_environment().map_err(Error::Registry)?;
            let Material { manifest, pool } = origin.fetch(&self.group).await?;
            let publication = registry.publish(package, &manifest, &pool).await;
            let publication = publication.map_err(|source| Error::Publish { what: package.to_string(), source })?;
            Ok((manifest, publication))
        };
        tokio::time::timeout(self.timeout, publish).await.map_err(|_| Error::TimedOut)?
    }

    /// Obtains everything in `wants`, or nothing.
    ///
    /// Throttling, server errors and network errors are tried again, with a new request each time. Where the broker
    /// refuses the request and an origin is named, the material is pulled again, once.
    ///
    /// # Errors
    /// What the last try ended with.
    pub async fn exchange(&self, wants: &[Want]) -> Result<Answer, Error> {
        tokio::time::timeout(self.timeout, self.try_until_answered(wants)).await.map_err(|_| Error::TimedOut)?
    }

    async fn try_until_answered(&self, wants: &[Want]) -> Result<Answer, Error> {
        let mut material = match self.materials.load(&self.group) {
            Err(Error::NoMaterial(_) | Error::Damaged { .. }) if self.origin.is_some() => self.fetch_and_load().await?,
            material => material?,
        };
        let mut pulled_again = false;
        let mut tries = 1;
        loop {
            match self.try_once(&material, wants, tries).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Again(error, _)) if tries >= MAX_TRIES => return Err(error),
                Err(Failed::Again(_, asked_for)) => tokio::time::sleep(pause(tries, asked_for)).await,
                Err(Failed::ForGood(refused @ Error::Refused { .. })) => {
                    let again = self.origin.is_some() && !pulled_again;
                    let pulled = if again { self.pull_later().await.ok() } else { None };
                    let Some(pulled) = pulled else {
                        material.pool.check(&material.manifest.pool)?;
                        return Err(refused);
                    };
                    material = pulled;
                    pulled_again = true;
                }
                Err(Failed::ForGood(error)) => return Err(error),
            }
            tries += 1;
        }
    }

    /// Pulls after one to two seconds: the broker looks for a generation that it does not know once a second at most.
    async fn pull_later(&self) -> Result<StoredMaterial, Error> {
        tokio::time::sleep(Duration::from_secs(1) + share(Duration::from_secs(1))).await;
        self.fetch_and_load().await
    }

    async fn fetch_and_load(&self) -> Result<StoredMaterial, Error> {
        self.fetch().await?;
        self.materials.load(&self.group)
    }

    async fn try_once(&self, material: &StoredMaterial, wants: &[Want], tries: u32) -> Result<Answer, Failed> {
        let now = SystemClock.unix_seconds();
        let Request { body, pending } =
            Request::build(&material.manifest, &material.pool, wants, now, &SystemRandom).map_err(Error::Protocol)?;
        let url = self.url.as_deref().unwrap_or(&material.manifest.url).trim_end_matches('/');
        let url: Url = format!("{url}/v2/exchange").parse().map_err(|_| Error::Url)?;
        let request = self
            .http
            .client(&url)
            .map_err(Error::Http)?
            .post(url)
            .header(header::CONTENT_TYPE, "application/jose")
            .header(header::ACCEPT, "application/jose, application/problem+json")
            .body(body);
        let reply = send(request, MAX_ANSWER_BYTES, tries).await?;
        match reply.status {
            StatusCode::OK => {
                let body = str::from_utf8(reply.body.expose()).map_err(|_| reply.unexpected())?;
                Ok(pending.open(body)?)
            }
            StatusCode::UNAUTHORIZED => {
                let clock_difference = reply.clock_difference(now);
                Err(Error::Refused { request_id: reply.request_id, clock_difference }.into())
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let problem: Option<Problem> = serde_json::from_slice(reply.body.expose()).ok();
                let detail = problem.and_then(|problem| problem.detail).ok_or_else(|| reply.unexpected())?;
                let denial = pending.open_denial(&detail)?;
                let want = wants.get(denial.want).map(describe).unwrap_or_default();
                Err(Error::Denied { code: denial.code, want, request_id: reply.request_id }.into())
            }
            _ => Err(reply.unexpected().into()),
        }
    }
}

fn describe(want: &Want) -> String {
    match want {
        Want::Secret { id, .. } => format!("secret {id}"),
        Want::Aws { role, .. } => format!("role {role}"),
        Want::AccessToken {} => "access token".to_owned(),
    }
}

use std::env;

use http::{Fetched, GetError, Http, MAX_TRIES, body, is_private, pause};
use protocol::{Group, Manifest, Pool, Secret};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use semver::Version;
use url::Url;

use crate::{
    Error, PackageName, PackageSpec,
    document::{FIRST, Generation, Packument, Publish},
    package::{MAX_PACKED_BYTES, Packed, integrity, unpack},
};

const DEFAULT_REGISTRY: &str = "https://registry.npmjs.org/";

/// The largest description of a package that is read: some hundred bytes a version.
const MAX_PACKUMENT_BYTES: usize = 16 * 1024 * 1024;

/// How often a tarball may be somewhere else.
const MAX_REDIRECTS: usize = 3;

/// A registry that speaks npm's HTTP API, and what it knows this program by.
#[derive(Debug)]
pub struct Registry {
    url: Url,
    token: Option<Secret<String>>,
    http: Http,
}

/// What is in the registry after a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The version that holds the generation.
    pub version: Version,
    /// Whether this publication made it; otherwise it was there.
    pub is_new: bool,
}

impl Registry {
    /// The registry of this url.
    ///
    /// # Errors
    /// [`Error::Url`]: a pool and a token travel by `https`, or stay on this machine.
    pub fn new(url: &str, token: Option<Secret<String>>) -> Result<Self, Error> {
        let mut url: Url = url.parse().map_err(|_| Error::Url)?;
        if !is_private(&url) {
            return Err(Error::Url);
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { url, token, http: Http::default() })
    }

    /// The registry that the environment names: `NPM_REGISTRY` (by default npm's own) and `NPM_TOKEN`.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn from_environment() -> Result<Self, Error> {
        let setting = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self::new(
            setting("NPM_REGISTRY").as_deref().unwrap_or(DEFAULT_REGISTRY),
            setting("NPM_TOKEN").map(|token| Secret::new(token.trim().to_owned())),
        )
    }

    /// Its url, which ends in a slash.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Publishes a group's material as the next patch version, unless the latest version holds this generation.
    ///
    /// A package that can be read without a token is refused. Whether a new one can be is known once it is there: then
    /// [`Error::Public`] says that the pool is out.
    ///
    /// # Errors
    /// [`Error::NoToken`], [`Error::Public`]; what the last try ended with.
    pub async fn publish(&self, name: &PackageName, manifest: &Manifest, pool: &Pool) -> Result<Publication, Error> {
        if self.token.is_none() {
            return Err(Error::NoToken);
        }
        let mut tries = 1;
        loop {
            match self.publish_once(name, manifest, pool, tries).await {
                Err(error) if tries < MAX_TRIES && error.is_worth_another_try() => {
                    tokio::time::sleep(pause(tries, None)).await;
                }
                ended => return ended,
            }
            tries += 1;
        }
    }

    async fn publish_once(
        &self,
        name: &PackageName,
        manifest: &Manifest,
        pool: &Pool,
        tries: u32,
    ) -> Result<Publication, Error> {
        let there = match self.packument(name).await {
            Err(Error::Missing) => None,
            there => Some(there?),
        };
        let ours = Generation::of(manifest);
        let latest = there.as_ref().and_then(|there| there.version(None));
        if there.is_some() {
            self.refuse_public(name).await?;
        }
        if let Some((version, known)) = latest
            && let Some(theirs) = &known.countersign
            // Who lost a race against a later generation must not publish the earlier one after it.
            && (*theirs == ours || (tries > 1 && theirs.is_after(&ours)))
        {
            return Ok(Publication { version: version.clone(), is_new: false });
        }
        let version = there.as_ref().map_or(FIRST, Packument::next_version);
        let package = Packed::new(name, version.clone(), manifest, pool)?;
        let document = Publish::new(&package, &self.url).ok_or(Error::Url)?;
        let document = serde_json::to_vec(&document).expect("a document serializes");
        let url = self.at(name)?;
        let client = self.http.client(&url).map_err(Error::Unreachable)?;
        let put = client.put(url).headers(self.headers()?).header(CONTENT_TYPE, "application/json").body(document);
        let answer = put.send().await.map_err(Error::Unreachable)?;
        let status = answer.status();
        if status.is_success() {
            if there.is_none() {
                self.refuse_public(name).await?;
            }
            return Ok(Publication { version, is_new: true });
        }
        // Registries do not agree on the status for a version that is there.
        let text = body(answer, 4096).await.ok().flatten().unwrap_or_default();
        let is_there = String::from_utf8_lossy(&text).contains("previously published");
        Err(if is_there { Error::Conflict } else { Error::of_status(status.as_u16()) })
    }

    /// Registries decide by their own settings who may read a package, whatever its publisher asks for.
    async fn refuse_public(&self, name: &PackageName) -> Result<(), Error> {
        match self.http.get(&self.at(name)?, &HeaderMap::new(), MAX_PACKUMENT_BYTES).await {
            Ok(Fetched::Body(_)) | Err(GetError::TooLarge) => Err(Error::Public),
            // Elsewhere one signs in.
            Ok(Fetched::Elsewhere(_)) | Err(GetError::Status(401 | 403 | 404)) => Ok(()),
            // Nobody said that it is private.
            Err(error @ (GetError::Status(_) | GetError::Unreachable(_))) => Err(error.into()),
        }
    }

    /// Fetches a package and gives a group's manifest and pool out of it, as they were published.
    ///
    /// # Errors
    /// [`Error::Integrity`] where the package is another than the registry says, or it says nothing; the others.
    pub async fn fetch(&self, spec: &PackageSpec, group: &Group) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let packument = self.packument(&spec.name).await?;
        let (_, known) = packument.version(spec.version.as_ref()).ok_or(Error::Missing)?;
        let mut url = known.dist.tarball.clone();
        let mut redirects = 0;
        let tarball = loop {
            // A registry that is reached by https must not send its client to a server on the client's own machine.
            if !is_private(&url) || (self.url.scheme() == "https" && url.scheme() != "https") {
                return Err(Error::Url);
            }
            // The token is for the registry alone.
            let headers = if url.origin() == self.url.origin() { self.headers()? } else { HeaderMap::new() };
            match self.http.get(&url, &headers, MAX_PACKED_BYTES).await? {
                Fetched::Body(tarball) => break tarball,
                Fetched::Elsewhere(next) if redirects < MAX_REDIRECTS => (url, redirects) = (next, redirects + 1),
                Fetched::Elsewhere(_) => return Err(Error::Malformed("the package is always somewhere else")),
            }
        };
        let digests = known.dist.integrity.as_deref().unwrap_or_default();
        if !digests.split_ascii_whitespace().any(|digest| digest == integrity(&tarball)) {
            return Err(Error::Integrity);
        }
        unpack(&tarball, group)
    }

    async fn packument(&self, name: &PackageName) -> Result<Packument, Error> {
        match self.http.get(&self.at(name)?, &self.headers()?, MAX_PACKUMENT_BYTES).await? {
            Fetched::Body(json) => {
                serde_json::from_slice(&json).map_err(|_| Error::Malformed("not the description of a package"))
            }
            Fetched::Elsewhere(_) => Err(Error::Malformed("the registry is somewhere else")),
        }
    }

    fn at(&self, name: &PackageName) -> Result<Url, Error> {
        self.url.join(&name.path()).map_err(|_| Error::Url)
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some(token) = &self.token {
            let bearer = Secret::new(format!("Bearer {}", token.expose()));
            let mut bearer = HeaderValue::from_str(bearer.expose()).map_err(|_| Error::Unauthorized)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(headers)
    }
}

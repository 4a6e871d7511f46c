use std::{path::PathBuf, str::FromStr};

use aws::{Connection, S3Bucket};
use http::{Fetched, Http, is_private};
use npm::{PackageSpec, Registry};
use ports::ReadObject as _;
use protocol::{Group, MAX_POOL_BYTES, Manifest, Pool};
use reqwest::header::HeaderMap;
use url::Url;

use crate::{Error, Material, material::read};

/// Where material is pulled from. Every kind but the package has the layout of the broker's bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `s3://bucket[/prefix]`, with AWS credentials from where the AWS SDKs look for them.
    S3 {
        /// The bucket.
        bucket: String,
        /// What stands before each key: empty, or ended by a slash.
        prefix: String,
    },
    /// `https://host/path`; plain `http` for this machine alone, since the pool is secret.
    Https(Url),
    /// `npm:@scope/name[@version]`, a private package of the registry that `NPM_REGISTRY` names, with `NPM_TOKEN`.
    Npm(PackageSpec),
    /// A folder: a copy, or a mounted volume.
    Folder(PathBuf),
}

/// Not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an s3 url, an https url, an npm package in a scope or a folder")]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if let Some(package) = text.strip_prefix("npm:") {
            return package.parse().map(Self::Npm).map_err(|_| InvalidOrigin);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { Err(InvalidOrigin) } else { Ok(Self::Folder(text.into())) };
        };
        match scheme {
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_end_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                if bucket.is_empty() { Err(InvalidOrigin) } else { Ok(Self::S3 { bucket: bucket.into(), prefix }) }
            }
            "https" | "http" => {
                let mut url: Url = text.parse().map_err(|_| InvalidOrigin)?;
                if !is_private(&url) {
                    return Err(InvalidOrigin);
                }
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                Ok(Self::Https(url))
            }
            "file" => Ok(Self::Folder(rest.into())),
            _ => Err(InvalidOrigin),
        }
    }
}

impl Origin {
    /// Fetches a group's material and holds the pool against the manifest.
    ///
    /// # Errors
    /// [`Error::Pull`], [`Error::Aws`].
    pub async fn fetch(&self, group: &Group) -> Result<Material, Error> {
        let material = self.fetch_if(group, |_| true).await?;
        material.ok_or_else(|| pull_error("the manifest", "nobody wants it"))
    }

    /// Fetches a group's manifest, and its pool where the manifest is wanted. A package comes whole in any case.
    ///
    /// # Errors
    /// As [`Origin::fetch`].
    pub(crate) async fn fetch_if(
        &self,
        group: &Group,
        is_wanted: impl Fn(&Manifest) -> bool,
    ) -> Result<Option<Material>, Error> {
        let fetcher = match self {
            Self::Npm(package) => {
                let material = from_npm(package, group).await?;
                return Ok(Some(material).filter(|material| is_wanted(&material.manifest)));
            }
            Self::S3 { bucket, prefix } => {
                let connection = Connection::from_environment().await;
                if let Some(lack) = connection.lacks().await {
                    return Err(lack.into());
                }
                Fetcher::S3 { bucket: S3Bucket::new(&connection, bucket.clone()), prefix }
            }
            Self::Https(base) => Fetcher::Https { http: Http::default(), base },
            Self::Folder(folder) => Fetcher::Folder(folder),
        };
        let key = Manifest::key(group);
        let manifest = manifest(&fetcher.fetch(&key, Manifest::MAX_BYTES).await?, group, &key)?;
        if !is_wanted(&manifest) {
            return Ok(None);
        }
        let pool = fetcher.fetch(&manifest.pool.key, MAX_POOL_BYTES).await?;
        let key = manifest.pool.key.clone();
        material(manifest, pool, &key).map(Some)
    }

    /// Whether nothing less than the pool can be fetched.
    pub(crate) const fn comes_whole(&self) -> bool {
        matches!(self, Self::Npm(_))
    }
}

async fn from_npm(package: &PackageSpec, group: &Group) -> Result<Material, Error> {
    let what = package.to_string();
    let registry = Registry::from_environment().map_err(Error::Registry)?;
    let (json, pool) = registry.fetch(package, group).await.map_err(|error| pull_error(&what, error))?;
    material(manifest(&json, group, &what)?, pool, &what)
}

fn manifest(json: &[u8], group: &Group, what: &str) -> Result<Manifest, Error> {
    let manifest = Manifest::from_json(json).filter(|manifest| manifest.group == *group);
    manifest.ok_or_else(|| pull_error(what, "not this group's manifest"))
}

fn material(manifest: Manifest, pool: Vec<u8>, what: &str) -> Result<Material, Error> {
    let pool = Pool::new(pool).ok().filter(|pool| manifest.pool.describes(pool));
    let pool = pool.ok_or_else(|| pull_error(what, "not the pool that the manifest describes"))?;
    Ok(Material { manifest, pool })
}

/// An origin with the bucket's layout, and what it takes to read from it.
enum Fetcher<'a> {
    S3 { bucket: S3Bucket, prefix: &'a str },
    Https { http: Http, base: &'a Url },
    Folder(&'a PathBuf),
}

impl Fetcher<'_> {
    async fn fetch(&self, key: &str, limit: usize) -> Result<Vec<u8>, Error> {
        match self {
            Self::S3 { bucket, prefix } => {
                let object = bucket.read(&format!("{prefix}{key}"), None, limit).await;
                let object = object.map_err(|fault| pull_error(key, fault))?;
                object.map(|mut object| object.bytes.take()).ok_or_else(|| pull_error(key, "no content"))
            }
            Self::Https { http, base } => {
                let url = base.join(key).map_err(|error| pull_error(key, error))?;
                match http.get(&url, &HeaderMap::new(), limit).await {
                    Ok(Fetched::Body(body)) => Ok(body),
                    Ok(Fetched::Elsewhere(_)) => {
                        Err(pull_error(key, "it is somewhere else, where no redirect is followed"))
                    }
                    Err(error) => Err(pull_error(key, error)),
                }
            }
            Self::Folder(folder) => read(&folder.join(key), limit, None)
                .map(|mut bytes| bytes.take())
                .map_err(|error| pull_error(key, error)),
        }
    }
}

fn pull_error(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Pull { what: what.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_apart() {
        let s3 = |bucket: &str, prefix: &str| Ok(Origin::S3 { bucket: bucket.into(), prefix: prefix.into() });
        let https = |url: &str| Ok(Origin::Https(url.parse().unwrap()));
        for (text, expected) in [
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://bucket/a/b", s3("bucket", "a/b/")),
            ("https://example.com/keys", https("https://example.com/keys/")),
            ("http://localhost:8080", https("http://localhost:8080/")),
            ("./keys", Ok(Origin::Folder("./keys".into()))),
            ("file:///keys", Ok(Origin::Folder("/keys".into()))),
            ("npm:@acme/keys@1.2.3", Ok(Origin::Npm("@acme/keys@1.2.3".parse().unwrap()))),
            ("npm:keys", Err(InvalidOrigin)),
            ("http://example.com/keys", Err(InvalidOrigin)),
            ("http://localhost.example.com/keys", Err(InvalidOrigin)),
            ("ftp://example.com", Err(InvalidOrigin)),
            ("s3://", Err(InvalidOrigin)),
            ("", Err(InvalidOrigin)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}

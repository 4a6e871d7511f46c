use std::{path::PathBuf, str::FromStr};

use aws::{Connection, S3Bucket};
use ports::ReadObject as _;
use protocol::{Group, MAX_POOL_BYTES, Manifest, Pool};
use reqwest::{Client, StatusCode};
use url::Url;

use crate::{
    Error, Material,
    http::{self, Http},
    material::read,
    retry::{MAX_TRIES, pause},
};

/// Where material is pulled from. Every kind has the layout of the broker's bucket.
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
    /// A folder: a copy, or a mounted volume.
    Folder(PathBuf),
}

/// Not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an s3 url, an https url or a folder")]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
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
                let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
                if url.scheme() == "http" && !here {
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
    /// [`Error::Pull`].
    pub async fn fetch(&self, group: &Group) -> Result<Material, Error> {
        let fetcher = Fetcher::new(self).await?;
        let key = Manifest::key(group);
        let json = fetcher.fetch(&key, Manifest::MAX_BYTES).await?;
        let manifest = Manifest::from_json(&json)
            .filter(|manifest| manifest.group == *group)
            .ok_or_else(|| pull_error(&key, "not this group's manifest"))?;
        let key = &manifest.pool.key;
        let pool = Pool::new(fetcher.fetch(key, MAX_POOL_BYTES).await?).ok();
        let pool = pool.filter(|pool| manifest.pool.describes(pool));
        let pool = pool.ok_or_else(|| pull_error(key, "not the pool that the manifest describes"))?;
        Ok(Material { manifest, pool })
    }
}

/// An origin with what it takes to read from it.
enum Fetcher<'a> {
    S3 { bucket: S3Bucket, prefix: &'a str },
    Https { http: Http, base: &'a Url },
    Folder(&'a PathBuf),
}

impl<'a> Fetcher<'a> {
    async fn new(origin: &'a Origin) -> Result<Self, Error> {
        Ok(match origin {
            Origin::S3 { bucket, prefix } => {
                let connection = Connection::from_environment().await;
                Self::S3 { bucket: S3Bucket::new(&connection, bucket.clone()), prefix }
            }
            Origin::Https(base) => Self::Https { http: Http::default(), base },
            Origin::Folder(folder) => Self::Folder(folder),
        })
    }

    async fn fetch(&self, key: &str, limit: usize) -> Result<Vec<u8>, Error> {
        match self {
            Self::S3 { bucket, prefix } => {
                let object = bucket.read(&format!("{prefix}{key}"), None, limit).await;
                let object = object.map_err(|fault| pull_error(key, fault))?;
                object.map(|mut object| object.bytes.take()).ok_or_else(|| pull_error(key, "no content"))
            }
            Self::Https { http, base } => {
                let client = http.client(base).map_err(Error::Http)?;
                let url = base.join(key).map_err(|error| pull_error(key, error))?;
                let mut tries = 1;
                loop {
                    let failed = match get(client, url.clone(), limit).await {
                        Ok((status, Some(body))) if status == StatusCode::OK => return Ok(body),
                        Ok((status, None)) if status == StatusCode::OK => return Err(pull_error(key, "too large")),
                        Ok((status, _)) => {
                            let failed = pull_error(key, format!("status {}", status.as_u16()));
                            if !(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS) {
                                return Err(failed);
                            }
                            failed
                        }
                        Err(error) => pull_error(key, error),
                    };
                    if tries == MAX_TRIES {
                        return Err(failed);
                    }
                    tokio::time::sleep(pause(tries, None)).await;
                    tries += 1;
                }
            }
            Self::Folder(folder) => read(&folder.join(key), limit, None)
                .map(|mut bytes| bytes.take())
                .map_err(|error| pull_error(key, error)),
        }
    }
}

/// Status and body; no body where it is larger than `limit`.
async fn get(client: &Client, url: Url, limit: usize) -> Result<(StatusCode, Option<Vec<u8>>), reqwest::Error> {
    let response = client.get(url).send().await?;
    Ok((response.status(), http::body(response, limit).await?))
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

//! The documents of a registry's API: a package's description, what is published, what is there.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use protocol::{Manifest, Secret};
use semver::Version;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    PackageName,
    package::{Packed, integrity, shasum},
};

/// A package's `package.json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PackageJson {
    name: String,
    pub(crate) version: Version,
    description: String,
    license: &'static str,
    #[serde(rename = "publishConfig")]
    publish_config: PublishConfig,
    countersign: Generation,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct PublishConfig {
    access: &'static str,
}

/// Which generation of a group's material a package holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    group: String,
    generation: u64,
    pool_id: String,
    kid: String,
}

/// What is sent to publish a version.
#[derive(Serialize)]
pub(crate) struct Publish {
    _id: String,
    name: String,
    description: String,
    #[serde(rename = "dist-tags")]
    tags: BTreeMap<&'static str, String>,
    versions: BTreeMap<String, PublishedVersion>,
    access: &'static str,
    #[serde(rename = "_attachments")]
    attachments: BTreeMap<String, Attachment>,
}

#[derive(Serialize)]
struct PublishedVersion {
    _id: String,
    #[serde(flatten)]
    json: PackageJson,
    dist: Dist,
}

#[derive(Serialize)]
struct Attachment {
    content_type: &'static str,
    data: Secret<String>,
    length: usize,
}

/// Where a version's tarball is and what it must be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dist {
    pub(crate) tarball: Url,
    pub(crate) integrity: Option<String>,
    shasum: Option<String>,
}

/// What a registry tells of a package. Members that are not used here are passed over.
#[derive(Debug, Deserialize)]
pub(crate) struct Packument {
    #[serde(rename = "dist-tags", default)]
    tags: BTreeMap<String, Version>,
    #[serde(default)]
    versions: BTreeMap<Version, KnownVersion>,
}

/// A version that is there.
#[derive(Debug, Deserialize)]
pub(crate) struct KnownVersion {
    pub(crate) dist: Dist,
    /// Where it is one of ours.
    #[serde(default)]
    pub(crate) countersign: Option<Generation>,
}

impl Generation {
    /// Whether this is a later one of the same group.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        self.group == other.group && self.generation > other.generation
    }

    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            group: manifest.group.to_string(),
            generation: manifest.generation,
            pool_id: manifest.pool.id.to_string(),
            kid: manifest.server_key.kid().to_string(),
        }
    }
}

impl PackageJson {
    pub(crate) fn new(name: &PackageName, version: Version, manifest: &Manifest) -> Self {
        Self {
            name: name.to_string(),
            version,
            description: format!("Countersign's material of the group {}. Secret.", manifest.group),
            license: "UNLICENSED",
            publish_config: PublishConfig { access: "restricted" },
            countersign: Generation::of(manifest),
        }
    }
}

impl Publish {
    /// The document that publishes a package as the latest version.
    ///
    /// Source: npm's `libnpmpublish`, whose form registries expect.
    pub(crate) fn new(package: &Packed, registry: &Url) -> Option<Self> {
        let Packed { json, tarball } = package;
        let PackageJson { name, version, .. } = json;
        // Both with the scope, as npm has it.
        let (id, file) = (format!("{name}@{version}"), format!("{name}-{version}.tgz"));
        let tarball = tarball.expose();
        let dist = Dist {
            tarball: registry.join(&format!("{name}/-/{file}")).ok()?,
            integrity: Some(integrity(tarball)),
            shasum: Some(shasum(tarball)),
        };
        let data = Secret::new(BASE64_STANDARD.encode(tarball));
        let attachment = Attachment { content_type: "application/octet-stream", data, length: tarball.len() };
        Some(Self {
            _id: name.clone(),
            name: name.clone(),
            description: json.description.clone(),
            tags: BTreeMap::from([("latest", version.to_string())]),
            versions: BTreeMap::from([(version.to_string(), PublishedVersion { _id: id, json: json.clone(), dist })]),
            access: "restricted",
            attachments: BTreeMap::from([(file, attachment)]),
        })
    }
}

impl Packument {
    /// A version, by default the one tagged `latest`.
    pub(crate) fn version(&self, version: Option<&Version>) -> Option<(&Version, &KnownVersion)> {
        self.versions.get_key_value(version.or_else(|| self.tags.get("latest"))?)
    }

    /// The patch version after the highest that is there.
    pub(crate) fn next_version(&self) -> Version {
        let highest = self.versions.keys().filter(|version| version.pre.is_empty()).max();
        highest.map_or(FIRST, |highest| Version::new(highest.major, highest.minor, highest.patch + 1))
    }
}

/// The version of a package that was not there.
pub(crate) const FIRST: Version = Version::new(1, 0, 0);

#[cfg(test)]
mod tests {
    use super::*;

    fn packument(versions: &[&str]) -> Packument {
        let dist = serde_json::json!({ "dist": { "tarball": "https://registry.example/a.tgz" }, "more": 1 });
        let versions: serde_json::Map<_, _> =
            versions.iter().map(|version| ((*version).to_owned(), dist.clone())).collect();
        serde_json::from_value(serde_json::json!({ "dist-tags": {}, "versions": versions, "more": 1 })).unwrap()
    }

    #[test]
    fn the_next_version_is_the_patch_after_the_highest() {
        for (there, next) in [
            (&[][..], "1.0.0"),
            (&["1.0.9", "1.0.10"], "1.0.11"),
            (&["2.3.4", "1.9.9"], "2.3.5"),
            (&["1.0.0", "2.0.0-beta.1"], "1.0.1"),
        ] {
            assert_eq!(packument(there).next_version().to_string(), next, "{there:?}");
        }
    }
}

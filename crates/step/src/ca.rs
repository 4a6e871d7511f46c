use protocol::CaAddress;
use serde::{Deserialize, Serialize};

use crate::{CaUrl, Provisioner, ProvisionerKind, RootFingerprint};

/// The CA that certificates are enrolled at, as the operator wrote it down in S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ca {
    /// Where it is. It must be one of the names in its own configuration (`dnsNames`): the audience of tokens is made of it.
    pub url: CaUrl,
    /// What its root is known by.
    pub fingerprint: RootFingerprint,
    /// The provisioner whose key signs.
    pub provisioner: Provisioner,
}

impl Ca {
    /// Where it stands in the bucket.
    pub const OBJECT: &'static str = "step-ca/ca.json";

    /// The largest object that is read.
    pub const MAX_BYTES: usize = 4 * 1024;

    /// Reads the object; `None` where it is not of this form, or has a member that is not known.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        // serde would take a list for a structure as well.
        (json.trim_ascii_start().first() == Some(&b'{')).then_some(())?;
        serde_json::from_slice(json).ok()
    }

    /// The object.
    ///
    /// # Panics
    /// Never: texts serialize.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("texts serialize")
    }

    /// What a client needs of it.
    #[must_use]
    pub fn address(&self) -> CaAddress {
        CaAddress { url: self.url.to_string(), fingerprint: self.fingerprint.to_string() }
    }

    /// The audience of tokens for certificates.
    #[must_use]
    pub fn sign_audience(&self) -> String {
        self.audience("sign")
    }

    /// The audience of tokens for revocations.
    #[must_use]
    pub fn revoke_audience(&self) -> String {
        self.audience("revoke")
    }

    /// step-ca finds a provisioner by the token's `iss` and `kid`, and where there is no `kid`, by the fragment of its `aud`
    /// (`authority/provisioner/collection.go`, `LoadByToken`).
    fn audience(&self, verb: &str) -> String {
        let Self { url, provisioner: Provisioner { kind, name }, .. } = self;
        match kind {
            ProvisionerKind::Jwk => format!("{url}/1.0/{verb}"),
            ProvisionerKind::X5c => format!("{url}/1.0/{verb}#x5c/{name}"),
        }
    }
}

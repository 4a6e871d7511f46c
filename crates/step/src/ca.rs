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
        let Self { url, provisioner: Provisioner { kind, name, .. }, .. } = self;
        match kind {
            ProvisionerKind::Jwk => format!("{url}/1.0/{verb}"),
            ProvisionerKind::X5c => format!("{url}/1.0/{verb}#x5c/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"url":"https://ca.example.com:9000","fingerprint":
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","provisioner":{"type":"X5C","name":"ra@example"}}"#;

    #[test]
    fn the_object_reads_back_and_says_where_tokens_are_good() {
        let ca = Ca::from_json(JSON.as_bytes()).unwrap();
        assert_eq!(Ca::from_json(&ca.to_json()).unwrap(), ca);
        assert_eq!(ca.sign_audience(), "https://ca.example.com:9000/1.0/sign#x5c/ra@example");
        assert_eq!(ca.revoke_audience(), "https://ca.example.com:9000/1.0/revoke#x5c/ra@example");
        assert_eq!(ca.address().url, "https://ca.example.com:9000");
        assert!(ca.fingerprint.is_of(b"") && ca.address().fingerprint == ca.fingerprint.to_string());
        let jwk = Ca::from_json(JSON.replace("X5C", "JWK").as_bytes()).unwrap();
        assert_eq!(jwk.sign_audience(), "https://ca.example.com:9000/1.0/sign");
        assert_eq!(jwk.revoke_audience(), "https://ca.example.com:9000/1.0/revoke");
    }

    #[test]
    fn what_is_not_exactly_such_an_object_is_refused() {
        for (name, from, to) in [
            ("unknown_member", "{\"url\"", "{\"more\":1,\"url\""),
            ("member_twice", "{\"url\"", "{\"url\":\"https://evil.example.com\",\"url\""),
            ("unknown_member_of_the_provisioner", "{\"type\"", "{\"key\":\"a\",\"type\""),
            ("another_type", "X5C", "OIDC"),
            ("type_in_small_letters", "X5C", "x5c"),
            ("not_https", "https:", "http:"),
            ("path", ":9000", ":9000/acme"),
            ("short_fingerprint", "e3b0", "e3"),
            ("empty_name", "ra@example", ""),
            ("name_with_a_fragment", "ra@example", "ra#x5c/b"),
            ("name_with_a_colon", "ra@example", "ra:kid"),
            ("no_object", "{\"url\"", "[{\"url\""),
        ] {
            let bad = JSON.replacen(from, to, 1);
            assert_ne!(bad, JSON, "{name}");
            assert!(Ca::from_json(bad.as_bytes()).is_none(), "{name}");
        }
        let fingerprint = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let list = format!(r#"["https://ca.example.com","{fingerprint}",{{"type":"JWK","name":"a"}}]"#);
        assert!(Ca::from_json(list.as_bytes()).is_none());
    }
}

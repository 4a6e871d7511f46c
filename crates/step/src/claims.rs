use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use protocol::{Random, Secret, compact};
use serde::Serialize;

use crate::{Ca, KeyError, OTT_SECONDS, ProvisionerKey, Purpose};

const JTI_BYTES: usize = 16;

/// What a one-time token says (`authority/provisioner/jwk.go` of step-ca, `jwtPayload`).
#[derive(Serialize)]
pub(crate) struct Claims {
    /// The provisioner's name.
    iss: String,
    /// The one URL of the CA that takes it: a token for a certificate revokes nothing, and the reverse.
    aud: String,
    /// The certificate's common name, or the serial number of the one to be revoked.
    sub: String,
    /// The certificate's other names: always there for a certificate, since a step-ca puts these into it, whatever is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    sans: Option<Vec<String>>,
    /// The root's fingerprint.
    sha: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// The one request that the token is good for. A step-ca before 0.26 does not look at it.
#[derive(Serialize)]
struct Confirmation {
    #[serde(rename = "x5rt#S256")]
    fingerprint: String,
}

#[derive(Serialize)]
struct JwkHeader<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct X5cHeader {
    alg: &'static str,
    typ: &'static str,
    x5c: [String; 2],
}

impl Claims {
    pub(crate) fn new(ca: &Ca, purpose: Purpose<'_>, now: u64, random: &dyn Random) -> Self {
        let mut jti = [0; JTI_BYTES];
        random.fill(&mut jti);
        let (aud, sub, sans, cnf) = match purpose {
            Purpose::Sign { subject, sans, csr } => {
                let sans = if sans.is_empty() {
                    vec![subject.to_string()]
                } else {
                    sans.iter().map(ToString::to_string).collect()
                };
                let fingerprint = csr.map(|digest| BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes()));
                let cnf = fingerprint.map(|fingerprint| Confirmation { fingerprint });
                (ca.sign_audience(), subject.to_string(), Some(sans), cnf)
            }
            Purpose::Revoke { serial } => (ca.revoke_audience(), serial.to_string(), None, None),
        };
        Self {
            iss: ca.provisioner.name.to_string(),
            aud,
            sub,
            sans,
            sha: ca.fingerprint.to_string(),
            iat: now,
            nbf: now,
            exp: now + OTT_SECONDS,
            jti: BASE64_URL_SAFE_NO_PAD.encode(jti),
            cnf,
        }
    }

    pub(crate) fn jti(&self) -> &str {
        &self.jti
    }

    pub(crate) const fn expires_at(&self) -> u64 {
        self.exp
    }

    /// Signs them: a compact JWS (RFC 7515 section 7.1).
    pub(crate) fn sign(&self, key: &ProvisionerKey) -> Result<Secret<String>, KeyError> {
        let header = match key {
            ProvisionerKey::Jwk(key) => compact::encode_json(&JwkHeader { alg: "ES256", kid: key.kid(), typ: "JWT" }),
            ProvisionerKey::X5c(key) => {
                compact::encode_json(&X5cHeader { alg: key.algorithm().as_str(), typ: "JWT", x5c: key.header() })
            }
        };
        let input = format!("{header}.{}", compact::encode_json(self));
        let signature = match key {
            ProvisionerKey::Jwk(key) => key.sign(input.as_bytes()),
            ProvisionerKey::X5c(key) => key.sign(input.as_bytes()),
        };
        // The signature is what makes it a token.
        Ok(Secret::new([&input, ".", &BASE64_URL_SAFE_NO_PAD.encode(signature?)].concat()))
    }
}

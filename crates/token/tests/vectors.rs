//! Every vector in `tests/vectors/token` and `tests/vectors/ssh` ends with its verdict. They were made with `cryptography` and
//! with OpenSSH.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use countersign_token::{KeySet, SignatureRefusal, SshKey, TokenRefusal, verify};
use serde::{Deserialize, de::DeserializeOwned};

#[derive(Deserialize)]
struct Token {
    verdict: String,
    now: u64,
    address: IpAddr,
    token: String,
    jwks: serde_json::Value,
}

#[derive(Deserialize)]
struct Signature {
    verdict: String,
    key: String,
    message: Option<String>,
    signature: Option<String>,
    user_present: Option<bool>,
    user_verified: Option<bool>,
}

fn vectors<V: DeserializeOwned>(folder: &str) -> impl Iterator<Item = (PathBuf, V)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(folder);
    fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let vector = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (path, vector)
    })
}

#[test]
fn every_token_ends_with_its_verdict() {
    let mut verdicts = BTreeSet::new();
    for (path, vector) in vectors::<Token>("token") {
        let keys = KeySet::from_json(&serde_json::to_vec(&vector.jwks).unwrap()).unwrap();
        assert_eq!(keys.keys().len(), 2);
        let verified = verify(&vector.token, vector.address, &keys, vector.now);
        let ended = verified.map_or_else(TokenRefusal::code, |_| "accepted");
        assert_eq!(ended, vector.verdict, "{}", path.display());
        verdicts.insert(vector.verdict);
    }
    assert_eq!(verdicts.len(), 9, "a verdict has no vector: {verdicts:?}");
}

#[test]
fn every_signature_ends_with_its_verdict() {
    let mut verdicts = BTreeSet::new();
    for (path, vector) in vectors::<Signature>("ssh") {
        let name = path.display();
        let Ok(key) = SshKey::from_openssh(&vector.key) else {
            assert_eq!(vector.verdict, "refused_key", "{name}");
            continue;
        };
        let signature = BASE64_STANDARD.decode(vector.signature.unwrap()).unwrap();
        let ended = match key.verify(vector.message.unwrap().as_bytes(), &signature) {
            Ok(presence) => {
                assert_eq!(Some(presence.user_present), vector.user_present, "{name}");
                assert_eq!(Some(presence.user_verified), vector.user_verified, "{name}");
                assert_eq!(presence.counter > 0, key.is_hardware(), "{name}");
                "accepted"
            }
            Err(SignatureRefusal::Malformed) => "malformed",
            Err(SignatureRefusal::Sha1) => "sha1",
            Err(SignatureRefusal::WrongAlgorithm) => "wrong_algorithm",
            Err(SignatureRefusal::WrongSignature) => "wrong_signature",
        };
        assert_eq!(ended, vector.verdict, "{name}");
        verdicts.insert(vector.verdict);
    }
    assert_eq!(verdicts.len(), 5, "a verdict has no vector: {verdicts:?}");
}

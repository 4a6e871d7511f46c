//! What strangers send ends in a refusal, never in a panic.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use countersign_token::{
    AuthorizedKey, Fingerprint, KeySet, Network, NonceClaims, Scope, SigningKey, SshKey, bearer, decode_lenient,
    pkce::{CodeChallenge, CodeVerifier},
    verify,
};
use proptest::{prelude::*, sample::Index};
use protocol::Secret;
use serde_json::Value;

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9",
    "sk-ssh-ed25519@openssh.com \
     AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9AAAABHNzaDo=",
];

const KINDS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The vectors of a folder that are accepted.
fn accepted(folder: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let vectors = files.map(|json| serde_json::from_slice::<Value>(&json).unwrap());
    vectors.filter(|vector| vector["verdict"] == "accepted").collect()
}

proptest! {
    #[test]
    fn texts(text in "\\PC*") {
        prop_assert!(verify(&text, [192, 0, 2, 7].into(), &KeySet::default(), 0).is_err());
        let _ = AuthorizedKey::parse_file(&text);
        let _ = Fingerprint::from_client_id(&text);
        let _ = KeySet::from_json(text.as_bytes());
        let _ = bearer(&text);
        let _ = SshKey::from_openssh(&text);
        let _ = CodeChallenge::parse(&text);
        let _ = CodeVerifier::parse(Secret::new(text.clone()));
        let _ = decode_lenient(&text);
        prop_assert!(NonceClaims::verify(&text, &KeySet::default()).is_err());
        prop_assert!(SigningKey::from_pem(&text).is_err());
    }

    #[test]
    fn blobs(name in prop::sample::select(KINDS.to_vec()), bytes: Vec<u8>) {
        let named = [&u32::try_from(name.len()).unwrap().to_be_bytes(), name.as_bytes(), &bytes].concat();
        for blob in [&bytes, &named] {
            if let Ok(key) = SshKey::from_blob(blob, "comment") {
                let line = format!("{} {} comment", key.algorithm(), BASE64_STANDARD.encode(blob));
                prop_assert_eq!(SshKey::from_openssh(&line), Ok(key));
            }
        }
    }

    #[test]
    fn signatures(
        name in prop::sample::select(vec!["", "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "rsa-sha2-512"]),
        bytes: Vec<u8>,
    ) {
        for line in KEYS {
            let key = SshKey::from_openssh(line).unwrap();
            prop_assert!(key.verify(b"message", &bytes).is_err());
            let named = [&u32::try_from(name.len()).unwrap().to_be_bytes(), name.as_bytes(), &bytes].concat();
            prop_assert!(key.verify(b"message", &named).is_err());
        }
    }

    #[test]
    fn networks_and_scopes_are_written_as_they_were_read(
        address: u32,
        length in 0_u32..=32,
        words in prop::collection::btree_set("[!#-\\[\\]-~]{1,20}", 0..10),
    ) {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        let network = format!("{}/{length}", std::net::Ipv4Addr::from(address & mask));
        prop_assert_eq!(network.parse::<Network>().unwrap().to_string(), network);
        let scope = words.into_iter().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(scope.parse::<Scope>().unwrap().to_string(), scope);
    }

    #[test]
    fn a_signature_with_one_byte_changed_is_refused(place: Index, mask in 1_u8..) {
        for vector in accepted("ssh") {
            let text = |name: &str| vector[name].as_str().unwrap();
            let key = SshKey::from_openssh(text("key")).unwrap();
            let mut signature = BASE64_STANDARD.decode(text("signature")).unwrap();
            let place = place.index(signature.len());
            signature[place] ^= mask;
            prop_assert!(key.verify(text("message").as_bytes(), &signature).is_err(), "{}, {place}", text("key"));
        }
    }

    #[test]
    fn a_token_with_one_character_changed_is_refused(place: Index, character in "[A-Za-z0-9_.=-]") {
        for vector in accepted("token") {
            let text = |name: &str| vector[name].as_str().unwrap();
            let keys = KeySet::from_json(vector["jwks"].to_string().as_bytes()).unwrap();
            let (token, place) = (text("token"), place.index(text("token").len()));
            let changed = [&token[..place], &character, &token[place + 1..]].concat();
            let verified = verify(&changed, text("address").parse().unwrap(), &keys, vector["now"].as_u64().unwrap());
            prop_assert_eq!(verified.is_ok(), changed == token, "{}", changed);
        }
    }
}

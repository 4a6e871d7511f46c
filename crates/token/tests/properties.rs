//! What strangers send ends in a refusal, never in a panic.
#![allow(missing_docs, clippy::unwrap_used)]

use countersign_token::{AuthorizedKey, Fingerprint, KeySet, Network, Scope, SshKey, bearer, verify};
use proptest::prelude::*;

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9",
    "sk-ssh-ed25519@openssh.com \
     AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9AAAABHNzaDo=",
];

proptest! {
    #[test]
    fn texts(text in "\\PC*") {
        prop_assert!(verify(&text, [192, 0, 2, 7].into(), &KeySet::default(), 0).is_err());
        let _ = AuthorizedKey::parse_file(&text);
        let _ = Fingerprint::from_client_id(&text);
        let _ = KeySet::from_json(text.as_bytes());
        let _ = bearer(&text);
        let _ = SshKey::from_openssh(&text);
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
}

//! Every vector in `tests/vectors/answer` ends with its verdict. They were made by an independent JOSE library.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::Path};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use countersign_protocol::{ClientError, Manifest, PendingAnswer, Pool, PoolEntry, Random, Request, ServerKey, Want};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    verdict: String,
    rsk: String,
    answer: String,
}

/// Gives the vector's bytes for everything, the response key included.
struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        let count = bytes.len();
        bytes.copy_from_slice(&self.0[..count]);
    }
}

fn pending(folder: &Path, rsk: &str) -> PendingAnswer {
    let pool = Pool::new(fs::read(folder.join("pool.bin")).unwrap()).unwrap();
    let key = ServerKey::from_pem(&fs::read_to_string(folder.join("server-key.pem")).unwrap()).unwrap();
    let group = "web".parse().unwrap();
    let entry = PoolEntry::of(&group, &pool);
    let manifest = Manifest::first(group, "countersign".into(), "u".into(), key.public().clone(), entry);
    let want = Want::Aws { role: "deploy".into(), seconds: None };
    let random = Fixed(BASE64_URL_SAFE_NO_PAD.decode(rsk).unwrap());
    Request::build(&manifest, &pool, &[want], 1_800_000_000, &random).unwrap().pending
}

#[test]
fn every_vector_ends_with_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let mut verdicts = BTreeMap::new();
    for entry in fs::read_dir(folder.join("answer")).unwrap() {
        let path = entry.unwrap().path();
        let vector: Vector = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let verdict = match pending(&folder, &vector.rsk).open(&vector.answer) {
            Ok(_) => "accepted",
            Err(ClientError::ForeignAnswer) => "foreign_answer",
            Err(ClientError::MalformedAnswer) => "malformed_answer",
            Err(other) => panic!("{}: {other}", path.display()),
        };
        assert_eq!(verdict, vector.verdict, "{}", path.display());
        *verdicts.entry(vector.verdict).or_insert(0) += 1;
    }
    assert!(verdicts.values().sum::<u32>() >= 20 && verdicts.len() == 3, "{verdicts:?}");
}

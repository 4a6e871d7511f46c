//! Every vector in `tests/vectors/v1` ends with its verdict. They were made with PyCryptodome.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use countersign_protocol::{Pool, Refusal, ServerKey, V1Request};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    verdict: String,
    request: String,
}

#[test]
fn every_vector_ends_with_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let key = ServerKey::from_pem(&fs::read_to_string(folder.join("server-key.pem")).unwrap()).unwrap();
    let pool = Pool::new(fs::read(folder.join("v1-pool.bin")).unwrap()).unwrap();
    let group = "web".parse().unwrap();
    let mut verdicts = std::collections::BTreeSet::new();
    for entry in fs::read_dir(folder.join("v1")).unwrap() {
        let path = entry.unwrap().path();
        let vector: Vector = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let verified = V1Request::parse(vector.request.as_bytes()).verify([&key], &group, [&pool], "");
        assert_eq!(verified.map_or_else(Refusal::code, |_| "accepted"), vector.verdict, "{}", path.display());
        verdicts.insert(vector.verdict);
    }
    assert_eq!(verdicts.len(), 6, "a verdict has no vector: {verdicts:?}");
}

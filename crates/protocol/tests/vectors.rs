//! Every vector in `tests/vectors/exchange` ends with its verdict. They were made by an independent JOSE library.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use countersign_protocol::{Expected, Pool, Refusal, SealedRequest, ServerKey, VerifiedExchange};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    verdict: String,
    now: u64,
    audience: String,
    request: String,
}

fn verify(vector: &Vector, key: &ServerKey, pool: &Pool) -> Result<VerifiedExchange, Refusal> {
    let opened = SealedRequest::parse(vector.request.as_bytes())?.open(key)?;
    opened.verify(pool, Expected { audience: &vector.audience, now: vector.now })
}

#[test]
fn every_vector_ends_with_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let key = ServerKey::from_pem(&fs::read_to_string(folder.join("server-key.pem")).unwrap()).unwrap();
    let pool = Pool::new(fs::read(folder.join("pool.bin")).unwrap()).unwrap();
    let mut verdicts = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder.join("exchange")).unwrap() {
        let path = entry.unwrap().path();
        let vector: Vector = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let verdict = verify(&vector, &key, &pool).map_or_else(Refusal::code, |_| "accepted");
        assert_eq!(verdict, vector.verdict, "{}", path.display());
        *verdicts.entry(vector.verdict).or_insert(0) += 1;
    }
    assert!(verdicts.values().sum::<u32>() >= 60, "the folder was walked");
    assert_eq!(verdicts.len(), 12, "a verdict has no vector: {verdicts:?}");
}

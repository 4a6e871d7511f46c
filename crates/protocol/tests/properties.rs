//! What holds for every input, tried on many.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, sync::LazyLock};

use countersign_protocol::{Expected, Pool, SealedRequest, ServerKey, V1Request};
use proptest::prelude::*;

struct World {
    key: ServerKey,
    pool: Pool,
    request: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let vector = fs::read(folder.join("exchange/accepted-secret.json")).unwrap();
    let vector: serde_json::Value = serde_json::from_slice(&vector).unwrap();
    World {
        key: ServerKey::from_pem(&fs::read_to_string(folder.join("server-key.pem")).unwrap()).unwrap(),
        pool: Pool::new(fs::read(folder.join("pool.bin")).unwrap()).unwrap(),
        request: vector["request"].as_str().unwrap().to_owned(),
    }
});

fn accepted(request: &[u8]) -> bool {
    let expected = Expected { audience: "countersign", now: 1_800_000_000 };
    SealedRequest::parse(request)
        .and_then(|sealed| sealed.open(&WORLD.key))
        .and_then(|opened| opened.verify(&WORLD.pool, expected))
        .is_ok()
}

#[test]
fn the_request_that_is_altered_below_is_accepted_as_it_is() {
    assert!(accepted(WORLD.request.as_bytes()));
}

fn accepted_on_v1(body: &[u8]) -> bool {
    V1Request::parse(body).verify([&WORLD.key], &"web".parse().unwrap(), [&WORLD.pool], "").is_ok()
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_on_the_v1_wire(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(!accepted_on_v1(&bytes));
    }

    #[test]
    fn arbitrary_members_are_refused_on_the_v1_wire(data in "([0-9a-f]{2}){0,300}", payload in "([0-9A-F]{2}){0,300}") {
        let body = format!(r#"{{"data":"{data}","payload":"{payload}"}}"#);
        prop_assert!(!accepted_on_v1(body.as_bytes()));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(!accepted(&bytes));
    }

    #[test]
    fn a_request_with_one_byte_altered_is_refused(at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut request = WORLD.request.clone().into_bytes();
        let at = at.index(request.len());
        request[at] ^= by;
        prop_assert!(!accepted(&request));
    }

    #[test]
    fn a_request_that_was_cut_or_extended_is_refused(at in any::<prop::sample::Index>(), tail in "[A-Za-z0-9_.-]{1,64}") {
        let cut = &WORLD.request[..at.index(WORLD.request.len())];
        prop_assert!(!accepted(cut.as_bytes()));
        let extended = format!("{}{tail}", WORLD.request);
        prop_assert!(!accepted(extended.as_bytes()));
    }
}

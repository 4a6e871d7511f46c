//! What an exchange costs the function's processor: the whole handler over memory, warm, without network, beside one
//! RSA private operation of the same size by the same library.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::hint::black_box;

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{
        KeySize as RsaKeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
        PrivateDecryptingKey,
    },
};
use axum::http::StatusCode;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fixture::{World, secret};
use protocol::KeySize;

fn rsa_private_operation(bench: &mut Criterion) {
    let key = PrivateDecryptingKey::generate(RsaKeySize::Rsa3072).unwrap();
    let _ = key.as_der().unwrap();
    let public = OaepPublicEncryptingKey::new(key.public_key()).unwrap();
    let mut wrapped = vec![0; public.ciphertext_size()];
    public.encrypt(&OAEP_SHA256_MGF1SHA256, &[7; 32], &mut wrapped, None).unwrap();
    let private = OaepPrivateDecryptingKey::new(key).unwrap();
    let mut plaintext = vec![0; private.min_output_size()];
    bench.bench_function("rsa-3072 private operation", |bencher| {
        bencher.iter(|| {
            private.decrypt(&OAEP_SHA256_MGF1SHA256, black_box(&wrapped), &mut plaintext, None).unwrap().len()
        });
    });
}

fn exchange(bench: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::generated(KeySize::Rsa3072);
    bench.bench_function("exchange, 3072 bits, one secret", |bencher| {
        bencher.iter_batched(
            || world.request(&[secret("app/db")]).0,
            |body| {
                let answer = runtime.block_on(world.post(body));
                assert_eq!(answer.status, StatusCode::OK);
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, rsa_private_operation, exchange);
criterion_main!(benches);

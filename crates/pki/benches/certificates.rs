//! What a device's key and certificate cost the function's processor, beside the same key generation and signature by
//! the same library.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use aws_lc_rs::{
    rand::SystemRandom as AwsRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use countersign_pki::{Authority, Certificate, Csr, DeviceKey, KeyKind, Order, Subject, SubjectFields, new_root};
use criterion::{Criterion, criterion_group, criterion_main};
use protocol::SystemRandom;

const NOW: u64 = 1_800_000_000;

/// About what is signed of a device certificate, in bytes.
const SIGNED_BYTES: usize = 500;

fn subject() -> Subject {
    Subject::new(&SubjectFields { common_name: Some("pump-7".into()), ..SubjectFields::default() }).unwrap()
}

fn authority() -> Authority {
    let (root, key) = new_root(&subject(), KeyKind::EcdsaP256, NOW, 365, &SystemRandom).unwrap();
    Authority::new(root, key.expose()).unwrap()
}

fn key_and_certificate(authority: &Authority, subject: &Subject, kind: KeyKind) -> Certificate {
    let public_key = DeviceKey::generate(kind).unwrap().public_key();
    authority.issue(&Order { subject, public_key: &public_key, now: NOW, days: 1 }, &SystemRandom).unwrap()
}

fn ecdsa(bench: &mut Criterion) {
    let (authority, subject) = (authority(), subject());
    let generate = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let signer = generate();
    bench.bench_function("P-256: generation and signature alone", |bencher| {
        bencher.iter(|| (generate(), signer.sign(&AwsRandom::new(), black_box(&[7; SIGNED_BYTES])).unwrap()));
    });
    bench.bench_function("P-256: key and certificate under P-256", |bencher| {
        bencher.iter(|| key_and_certificate(&authority, &subject, KeyKind::EcdsaP256));
    });
    let request = DeviceKey::generate(KeyKind::EcdsaP256).unwrap().csr(&subject).unwrap().to_pem();
    bench.bench_function("P-256: request read and certificate under P-256", |bencher| {
        bencher.iter(|| {
            let request = Csr::from_pem(black_box(&request)).unwrap();
            let order = Order { subject: request.subject(), public_key: request.public_key(), now: NOW, days: 1 };
            authority.issue(&order, &SystemRandom).unwrap()
        });
    });
}

fn rsa(bench: &mut Criterion) {
    let (authority, subject) = (authority(), subject());
    let signer = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    bench.bench_function("RSA-2048: generation and P-256 signature alone", |bencher| {
        bencher.iter(|| {
            let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
            (key, signer.sign(&AwsRandom::new(), black_box(&[7; SIGNED_BYTES])).unwrap())
        });
    });
    bench.bench_function("RSA-2048: key and certificate under P-256", |bencher| {
        bencher.iter(|| key_and_certificate(&authority, &subject, KeyKind::Rsa2048));
    });
}

criterion_group!(benches, ecdsa, rsa);
criterion_main!(benches);

//! The client of step-ca against one that answers as it should, and as it should not.
#![allow(clippy::unwrap_used, clippy::panic)]

mod ca;

use std::time::{Duration, Instant};

use ca::{Instead, TestCa};
use countersign::{
    DeviceKey, Error, KeyKind, Secret, Subject, SubjectFields, SubjectName,
    step_ca::{Asked, Expected, Identity, Issued, Names, ReasonCode, Revoker, StepCa, StepCaError},
};
use pki::NamedRequest;
use ports::{Clock as _, SystemClock};
use protocol::AltName;
use serde_json::json;
use step::{CaUrl, RootFingerprint, SerialNumber};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Long enough for a connection and a request.
const HASTY: Duration = Duration::from_secs(3);

/// Who asks for a certificate.
struct Client {
    key: DeviceKey,
    subject: SubjectName,
    sans: Vec<AltName>,
    csr: NamedRequest,
}

impl Client {
    fn new(subject: &str, sans: &[&str]) -> Self {
        let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
        let sans: Vec<AltName> = sans.iter().map(|name| name.parse().unwrap()).collect();
        let fields = SubjectFields { common_name: Some(subject.into()), ..SubjectFields::default() };
        let csr = key.csr_with_alt_names(&Subject::new(&fields).unwrap(), &sans).unwrap();
        Self { key, subject: subject.parse().unwrap(), sans, csr }
    }

    async fn sign(&self, ca: &StepCa, token: String) -> Result<Issued, Error> {
        let public_key = self.key.public_key();
        let names = Names::These(&self.subject, &self.sans);
        let expected = Expected { public_key: &public_key, names, now: SystemClock.unix_seconds() };
        ca.sign(&self.csr, &Secret::new(token), Some(Duration::from_secs(3600)), &expected).await
    }

    /// With the certificate that a CA gives it.
    async fn enrolled(self, ca: &TestCa) -> Identity {
        let issued = self.sign(&client(ca), ca.token(self.subject.as_str(), &[], "enrolled")).await.unwrap();
        Identity::new(self.key, issued.chain().to_vec()).unwrap()
    }
}

fn client(ca: &TestCa) -> StepCa {
    StepCa::new(ca.url.clone(), ca.root()).timeout(TIMEOUT)
}

fn step_ca_error<T: std::fmt::Debug>(result: Result<T, Error>) -> StepCaError {
    match result {
        Err(Error::StepCa(error)) => error,
        other => panic!("{other:?}"),
    }
}

async fn root(ca: &TestCa, fingerprint: &RootFingerprint) -> Result<pki::Certificate, Error> {
    StepCa::root(&ca.url, fingerprint, TIMEOUT).await
}

#[tokio::test]
async fn a_root_is_the_one_of_the_fingerprint_whoever_serves_it() {
    let (ca, other) = (TestCa::start(), TestCa::start());
    assert_eq!(root(&ca, &ca.fingerprint).await.unwrap(), ca.root());
    assert!(matches!(step_ca_error(root(&ca, &other.fingerprint).await), StepCaError::NoSuchRoot));
    let path = format!("/root/{}", ca.fingerprint);
    for answer in [other.root().to_pem(), "no certificate".into(), ca.root().to_pem() + &other.root().to_pem()] {
        ca.answer(&path, Instead::Answer(200, json!({ "ca": answer }).to_string()));
        assert!(matches!(step_ca_error(root(&ca, &ca.fingerprint).await), StepCaError::WrongRoot), "{answer}");
    }
    ca.answer(&path, Instead::Answer(200, "<html>".into()));
    assert!(matches!(step_ca_error(root(&ca, &ca.fingerprint).await), StepCaError::Unexpected { status: 200 }));
    ca.answer(&path, Instead::Redirect(format!("{}{path}", other.url)));
    assert!(matches!(step_ca_error(root(&ca, &ca.fingerprint).await), StepCaError::Unexpected { status: 307 }));
    assert_eq!(other.requests(&path).len(), 0, "nobody is sent elsewhere");
    ca.answer(&path, Instead::Bytes(2 << 20));
    assert!(matches!(step_ca_error(root(&ca, &ca.fingerprint).await), StepCaError::Unexpected { status: 200 }));
}

#[tokio::test]
async fn a_certificate_is_given_for_a_token_once() {
    let ca = TestCa::start();
    let alice = Client::new("alice", &["web.example.com", "192.0.2.1", "alice@example.com", "spiffe://example.com/a"]);
    let sans: Vec<String> = alice.sans.iter().map(ToString::to_string).collect();
    let token = ca.token("alice", &sans.iter().map(String::as_str).collect::<Vec<_>>(), "1");
    let issued = alice.sign(&client(&ca), token.clone()).await.unwrap();
    assert_eq!(issued.chain()[1..], [ca.intermediate()]);
    let [asked] = &ca.requests("/1.0/sign")[..] else { panic!() };
    assert_eq!(
        (&asked["ott"], &asked["notAfter"], &asked["csr"]),
        (&json!(token), &json!("3600s"), &json!(alice.csr.to_pem()))
    );
    assert!(matches!(step_ca_error(alice.sign(&client(&ca), token).await), StepCaError::Refused(_)));
    let foreign = ca.token("bob", &[], "2");
    assert!(matches!(step_ca_error(alice.sign(&client(&ca), foreign).await), StepCaError::Refused(_)));
}

#[tokio::test]
async fn nothing_is_shown_to_a_server_that_is_not_the_cas() {
    let (ca, other) = (TestCa::start(), TestCa::start());
    let alice = Client::new("alice", &[]);
    let pinned = StepCa::new(other.url.clone(), ca.root()).timeout(TIMEOUT);
    let began = Instant::now();
    let refused = step_ca_error(alice.sign(&pinned, ca.token("alice", &[], "1")).await);
    assert!(matches!(refused, StepCaError::NotTheCa { .. }) && refused.exit_code() == 8, "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "and is not tried again");
    assert_eq!(other.requests("/1.0/sign").len(), 0);
    let identity = Client::new("alice", &[]).enrolled(&ca).await;
    assert!(matches!(step_ca_error(pinned.renew(&identity, 0).await), StepCaError::NotTheCa { .. }));
    assert_eq!(other.requests("/1.0/renew").len(), 0);
}

#[tokio::test]
async fn a_certificate_that_is_not_what_was_asked_for_is_not_taken() {
    let (ca, other) = (TestCa::start(), TestCa::start());
    let (alice, mallory, bob) = (Client::new("alice", &[]), Client::new("alice", &[]), Client::new("bob", &[]));
    let names = ["DNS:alice"];
    for (name, answer) in [
        ("another CA's", other.signed(&other.issue(&alice.csr.to_pem(), &names))),
        ("another CA's, under this one's intermediate", ca.signed(&other.issue(&alice.csr.to_pem(), &names))),
        ("for another key", ca.signed(&ca.issue(&mallory.csr.to_pem(), &names))),
        ("for another subject", ca.signed(&ca.issue(&bob.csr.to_pem(), &["DNS:bob"]))),
        ("the CA's own", ca.signed(&ca.intermediate())),
        ("none", json!({ "crt": "", "certChain": [] }).to_string()),
    ] {
        ca.answer("/1.0/sign", Instead::Answer(201, answer));
        let refused = step_ca_error(alice.sign(&client(&ca), ca.token("alice", &[], name)).await);
        assert!(matches!(refused, StepCaError::Unusable(_)) && refused.exit_code() == 8, "{name}: {refused:?}");
    }
    let good = ca.signed(&ca.issue(&alice.csr.to_pem(), &names));
    ca.answer("/1.0/sign", Instead::Answer(201, good));
    assert!(alice.sign(&client(&ca), ca.token("alice", &[], "good")).await.is_ok());
}

#[tokio::test]
async fn a_signature_is_asked_for_once_where_it_may_have_been_given() {
    let ca = TestCa::start();
    let alice = Client::new("alice", &[]);
    ca.answer("/1.0/sign", Instead::Lost);
    let lost = step_ca_error(alice.sign(&client(&ca), ca.token("alice", &[], "1")).await);
    assert!(matches!(lost, StepCaError::Unknown { asked: Asked::Certificate, .. }), "{lost:?}");
    assert_eq!(ca.requests("/1.0/sign").len(), 1);
    ca.answer("/1.0/sign", Instead::Late(Duration::from_secs(60)));
    let hasty = client(&ca).timeout(HASTY);
    let late = step_ca_error(alice.sign(&hasty, ca.token("alice", &[], "2")).await);
    assert!(matches!(late, StepCaError::Unknown { .. }) && late.exit_code() == 7, "{late:?}");
    ca.answer(
        "/1.0/sign",
        Instead::Answer(500, json!({ "message": "The certificate authority\u{1b}[2J failed" }).to_string()),
    );
    let failed = step_ca_error(alice.sign(&client(&ca), ca.token("alice", &[], "3")).await);
    assert_eq!(failed.to_string(), "the CA cannot answer: The certificate authority?[2J failed");
    assert_eq!(ca.requests("/1.0/sign").len(), 3, "each once");
}

#[tokio::test]
async fn answers_that_are_no_cas_are_told_from_refusals() {
    let ca = TestCa::start();
    let alice = Client::new("alice", &[]);
    let said = || json!({ "message": "because" }).to_string();
    for (answer, code) in [
        (Instead::Answer(400, said()), 2),
        (Instead::Answer(401, said()), 4),
        (Instead::Answer(403, said()), 4),
        (Instead::Answer(404, said()), 6),
        (Instead::Answer(429, said()), 7),
        (Instead::Answer(503, "busy".into()), 7),
        (Instead::Answer(418, said()), 8),
        (Instead::Answer(201, "[]".into()), 8),
        (Instead::Bytes(2 << 20), 8),
        (Instead::Redirect(format!("{}/1.0/sign", ca.url)), 8),
    ] {
        ca.answer("/1.0/sign", answer.clone());
        let refused = step_ca_error(alice.sign(&client(&ca), ca.token("alice", &[], "1")).await);
        assert_eq!(refused.exit_code(), code, "{answer:?}: {refused:?}");
    }
    assert_eq!(ca.requests("/1.0/sign").len(), 10);
}

#[tokio::test]
async fn a_renewal_keeps_key_and_names_and_is_repeated_where_its_answer_is_lost() {
    let (ca, other) = (TestCa::start(), TestCa::start());
    let identity = Client::new("alice", &[]).enrolled(&ca).await;
    let now = SystemClock.unix_seconds();
    let renewed = client(&ca).renew(&identity, now).await.unwrap();
    assert_ne!(renewed.certificate().serial(), identity.certificate().serial());
    assert_eq!(renewed.certificate().public_key().unwrap(), identity.public_key());
    let bob = ca.signed(&ca.issue(&Client::new("bob", &[]).csr.to_pem(), &["DNS:bob"]));
    ca.answer("/1.0/renew", Instead::Answer(201, bob));
    assert!(matches!(step_ca_error(client(&ca).renew(&identity, now).await), StepCaError::Unusable(_)));
    ca.answer("/1.0/renew", Instead::Lost);
    let lost = step_ca_error(client(&ca).renew(&identity, now).await);
    assert!(matches!(lost, StepCaError::Unreachable { tries: 5, .. }), "{lost:?}");
    ca.answer("/1.0/renew", None);
    let foreign = Client::new("alice", &[]).enrolled(&other).await;
    let refused = step_ca_error(client(&ca).renew(&foreign, now).await);
    assert!(matches!(refused, StepCaError::CertificateRefused { .. }) && refused.exit_code() == 4, "{refused:?}");
    ca.answer("/1.0/renew", Instead::Late(Duration::from_secs(60)));
    let hasty = client(&ca).timeout(HASTY);
    assert!(matches!(hasty.renew(&identity, now).await, Err(Error::TimedOut)));
}

#[tokio::test]
async fn a_revoked_certificate_is_not_renewed() {
    let ca = TestCa::start();
    let identity = Client::new("alice", &[]).enrolled(&ca).await;
    let serial: SerialNumber = identity.certificate().serial_decimal().parse().unwrap();
    let code: ReasonCode = "keyCompromise".parse().unwrap();
    let revoke =
        async |serial: &SerialNumber| client(&ca).revoke(Revoker::Holder(&identity), serial, code, "stolen").await;
    let other = "1".parse().unwrap();
    assert!(matches!(step_ca_error(revoke(&other).await), StepCaError::Refused(_)));
    revoke(&serial).await.unwrap();
    let expected = json!({ "serial": serial, "reasonCode": 1, "reason": "stolen", "passive": true });
    assert_eq!(ca.requests("/1.0/revoke")[1], expected);
    assert!(matches!(step_ca_error(revoke(&serial).await), StepCaError::Invalid(_)));
    let now = SystemClock.unix_seconds();
    assert!(matches!(step_ca_error(client(&ca).renew(&identity, now).await), StepCaError::Refused(_)));
    ca.answer("/1.0/revoke", Instead::Lost);
    let lost = step_ca_error(revoke(&serial).await);
    assert!(matches!(lost, StepCaError::Unknown { asked: Asked::Revocation, .. }), "{lost:?}");
    assert_eq!(ca.requests("/1.0/revoke").len(), 4);
    ca.answer("/1.0/revoke", Instead::Answer(200, json!({ "status": "maybe" }).to_string()));
    assert!(matches!(step_ca_error(revoke(&serial).await), StepCaError::Unexpected { .. }));
}

#[tokio::test]
async fn a_token_revokes_without_the_key() {
    let ca = TestCa::start();
    let token = Secret::new(ca.token("4711", &[], "revoke"));
    let code: ReasonCode = "4".parse().unwrap();
    client(&ca).revoke(Revoker::Token(&token), &"4711".parse().unwrap(), code, "").await.unwrap();
    let [asked] = &ca.requests("/1.0/revoke")[..] else { panic!() };
    assert_eq!(asked["ott"], json!(token.expose()));
}

#[tokio::test]
async fn provisioners_are_listed_from_all_pages() {
    let ca = TestCa::start();
    let acme = |number: usize| json!({ "type": "ACME", "name": format!("acme-{number}") });
    let jwk = json!({ "type": "JWK", "name": "countersign", "key": { "kid": "a b/c" }, "encryptedKey": "e.y.J.h.b" });
    ca.provide((0..250).map(acme).chain([jwk]));
    let found = client(&ca).provisioners().await.unwrap();
    assert_eq!((found.len(), ca.requests("/provisioners").len()), (251, 3));
    let last = &found[250];
    assert!(last.is("jwk", "countersign") && last.lists_encrypted_key() && last.kid() == Some("a b/c"));
    assert!(found[..250].iter().all(|found| !found.lists_encrypted_key() && found.kid().is_none()));
    ca.give_out("a b/c", "e.y.J.h.b");
    assert_eq!(client(&ca).encrypted_key("a b/c").await.unwrap().as_deref(), Some("e.y.J.h.b"));
    assert_eq!(client(&ca).encrypted_key("d").await.unwrap(), None);
    let endless = json!({ "provisioners": [], "nextCursor": "1" }).to_string();
    ca.answer("/provisioners", Instead::Answer(200, endless));
    assert!(matches!(step_ca_error(client(&ca).provisioners().await), StepCaError::Unexpected { .. }));
}

#[tokio::test]
async fn a_ca_that_is_not_there_is_not_reached() {
    let ca = TestCa::start();
    // Nobody has this port, while another test may get one that was let go.
    let nowhere: CaUrl = "https://127.0.0.1:1".parse().unwrap();
    let gone = StepCa::new(nowhere, ca.root()).timeout(TIMEOUT);
    let alice = Client::new("alice", &[]);
    let refused = step_ca_error(alice.sign(&gone, "a.b.c".into()).await);
    assert!(matches!(refused, StepCaError::Unreachable { tries: 5, .. }), "{refused:?}");
}

//! Every vector in `tests/vectors/step-ca` ends with its verdict. They were made with `cryptography`, with joserfc and with step's own
//! library; what is signed here OpenSSL verifies.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use countersign_step::{Ca, JwkKey, OttOrder, ProvisionerKind, Purpose, Registrar, RegistrarConfig, SerialNumber};
use ports::memory::{ManualClock, MemoryLedger, MemoryObjects, MemorySecrets};
use protocol::{AltName, CsrDigest, Random, Secret, SecretValue, SubjectName};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

#[derive(Deserialize)]
struct Key {
    jwe: String,
    password: String,
    verdict: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    ca: Value,
    key: String,
    order: Order,
    now: u64,
    random: String,
    header: Value,
    claims: Value,
    public_key: String,
    root: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "purpose", rename_all = "lowercase")]
enum Order {
    Sign {
        subject: SubjectName,
        #[serde(default)]
        sans: Vec<AltName>,
        csr_sha256: Option<CsrDigest>,
    },
    Revoke {
        serial: SerialNumber,
    },
}

impl Order {
    fn purpose(&self) -> Purpose<'_> {
        match self {
            Self::Sign { subject, sans, csr_sha256 } => Purpose::Sign { subject, sans, csr: csr_sha256.as_ref() },
            Self::Revoke { serial } => Purpose::Revoke { serial },
        }
    }
}

/// The bytes that a vector says.
struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0);
    }
}

fn vectors<V: DeserializeOwned>(kind: &str) -> Vec<(PathBuf, V)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/step-ca");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of_kind = paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind));
    let read = |path: PathBuf| {
        let vector = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (path, vector)
    };
    of_kind.map(read).collect()
}

#[test]
fn every_encrypted_key_ends_with_its_verdict() {
    let mut verdicts = BTreeSet::new();
    for (path, vector) in vectors::<Key>("key-") {
        let name = path.display();
        match JwkKey::from_encrypted(&vector.jwe, vector.password.as_bytes()) {
            Ok(key) => {
                assert_eq!(vector.verdict, "accepted", "{name}");
                assert_eq!(Some(key.kid()), vector.kid.as_deref(), "{name}");
                let wrong = JwkKey::from_encrypted(&vector.jwe, b"another").unwrap_err();
                assert_eq!(format!("{wrong:?}"), "WrongPassword", "{name}");
            }
            Err(error) => {
                assert_eq!(format!("{error:?}"), vector.verdict, "{name}");
                assert!(!error.to_string().contains(&vector.password), "{name}");
            }
        }
        verdicts.insert(vector.verdict);
    }
    assert_eq!(verdicts.len(), 9, "a verdict has no vector: {verdicts:?}");
}

#[tokio::test]
async fn every_token_says_what_step_ca_reads_and_openssl_verifies_it() {
    let mut kinds = BTreeSet::new();
    for (path, vector) in vectors::<Token>("token-") {
        let name = path.display();
        let ca = serde_json::to_vec(&vector.ca).unwrap();
        let kind = Ca::from_json(&ca).unwrap().provisioner.kind;
        let (objects, secrets) = (MemoryObjects::default(), MemorySecrets::default());
        objects.put(Ca::OBJECT, ca);
        let secret = if kind == ProvisionerKind::Jwk { "stack/step-ca/jwk" } else { "stack/step-ca/x5c" };
        secrets.put(secret, SecretValue::Text(Secret::new(vector.key.clone())));
        let config = RegistrarConfig { secrets: "stack/step-ca".into(), audit_days: 30 };
        let registrar = Registrar::new(config, objects, secrets);
        let order = OttOrder {
            purpose: vector.order.purpose(),
            holder: "group:web",
            policies: "enrol",
            source_ip: [192, 0, 2, 1].into(),
            request_id: "id",
        };
        let (clock, random) = (ManualClock::new(vector.now), Fixed(hex::decode(&vector.random).unwrap()));
        let signer = registrar.signer(&clock).await.unwrap();
        let issued = registrar.issue(order, &signer, &MemoryLedger::default(), &clock, &random).await.unwrap();
        let token = issued.token.token.expose();
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)).unwrap();
        assert_eq!((json(header), json(claims)), (vector.header.clone(), vector.claims), "{name}");
        assert_eq!(issued.token.expires_at, vector.now + 300);
        let input = format!("{header}.{claims}");
        verify(&vector.public_key, &input, &vector.header, &decode(signature));
        if let Some(root) = vector.root {
            verify_chain(&root, &vector.header, vector.now);
        }
        kinds.insert(format!("{kind} {}", vector.header["alg"]));
    }
    assert_eq!(kinds.len(), 3, "a kind of token has no vector: {kinds:?}");
}

/// Has OpenSSL verify a JWS.
fn verify(public_key: &str, input: &str, header: &Value, signature: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("public.pem", public_key.as_bytes());
    write("input", input.as_bytes());
    let signature = if header["alg"] == "ES256" { der(signature) } else { signature.to_vec() };
    write("signature", &signature);
    openssl(folder.path(), "dgst -sha256 -verify public.pem -signature signature input");
}

/// Has OpenSSL verify the certificates in a header.
fn verify_chain(root: &str, header: &Value, now: u64) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("root.pem"), root).unwrap();
    for (certificate, name) in header["x5c"].as_array().unwrap().iter().zip(["leaf.pem", "issuer.pem"]) {
        let certificate = certificate.as_str().unwrap();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
        fs::write(folder.path().join(name), pem).unwrap();
    }
    let verify = format!("verify -attime {now} -purpose sslclient -CAfile root.pem -untrusted issuer.pem leaf.pem");
    openssl(folder.path(), &verify);
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A signature of two numbers of 32 bytes in DER.
fn der(fixed: &[u8]) -> Vec<u8> {
    assert_eq!(fixed.len(), 64);
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|&&byte| byte == 0).count();
        let sign = (number[zeros] >= 0x80).then_some(0);
        let number: Vec<u8> = sign.into_iter().chain(number[zeros..].iter().copied()).collect();
        [&[2, u8::try_from(number.len()).unwrap()][..], &number].concat()
    };
    let integers = fixed.chunks(32).map(integer).collect::<Vec<_>>().concat();
    [&[0x30, u8::try_from(integers.len()).unwrap()][..], &integers].concat()
}

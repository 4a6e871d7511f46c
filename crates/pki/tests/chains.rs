//! Chains with an intermediate, requests with alternative names and signatures of tokens, judged by OpenSSL.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod openssl;

use countersign_pki::{
    Authority, Certificate, CertifiedName, DeviceKey, JwsAlgorithm, KeyKind, Order, PkiError, Subject, SubjectFields,
    is_chain, new_root, new_upper_root,
};
use openssl::{Openssl, P256, P384, RSA_2048, now};
use protocol::{AltName, SystemRandom};

const DAY: u64 = 24 * 60 * 60;

fn subject(common_name: &str) -> Subject {
    Subject::new(&SubjectFields { common_name: Some(common_name.into()), ..SubjectFields::default() }).unwrap()
}

fn names(texts: &[&str]) -> Vec<AltName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A root that may have an intermediate, an intermediate, and the certificate of a token's key.
struct World {
    root: Authority,
    intermediate: Authority,
    key: DeviceKey,
    leaf: Certificate,
}

impl World {
    fn new(kind: KeyKind) -> Self {
        let (root, key) = new_upper_root(&subject("Root"), kind, now(), 20, &SystemRandom).unwrap();
        let root = Authority::new(root, key.expose()).unwrap();
        let key = DeviceKey::generate(kind).unwrap();
        let order = |subject, public_key, days| Order { subject, public_key, now: now(), days };
        let (name, public_key) = (subject("Intermediate"), key.public_key());
        let certificate = root.issue_intermediate(&order(&name, &public_key, 10), &SystemRandom).unwrap();
        let intermediate = Authority::new(certificate, key.to_pem().expose()).unwrap();
        let key = DeviceKey::generate(kind).unwrap();
        let (name, public_key) = (subject("tokens"), key.public_key());
        let leaf = intermediate.issue_token_signer(&order(&name, &public_key, 30), &SystemRandom).unwrap();
        Self { root, intermediate, key, leaf }
    }

    fn chain(&self) -> Vec<Certificate> {
        vec![self.leaf.clone(), self.intermediate.certificate().clone(), self.root.certificate().clone()]
    }
}

#[test]
fn openssl_accepts_the_certificate_of_a_key_that_signs_tokens() {
    let openssl = Openssl::new();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa4096] {
        let world = World::new(kind);
        openssl.write("root.pem", &world.root.certificate().to_pem());
        openssl.write("intermediate.pem", &world.intermediate.certificate().to_pem());
        openssl.write("leaf.pem", &world.leaf.to_pem());
        let verify = "-x509_strict -check_ss_sig -CAfile root.pem -untrusted intermediate.pem leaf.pem";
        openssl.run(&format!("verify -purpose sslclient {verify}"));
        assert!(!openssl.output(&format!("verify -purpose sslserver {verify}")).status.success());
        let text = openssl.run("x509 -in leaf.pem -noout -text");
        for expected in [
            "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        let text = openssl.run("x509 -in intermediate.pem -noout -text");
        assert!(text.contains("CA:TRUE, pathlen:0\n") && text.contains("Certificate Sign, CRL Sign\n"), "{text}");
        assert!(openssl.run("x509 -in root.pem -noout -text").contains("CA:TRUE, pathlen:1\n"));
        assert!(is_chain(&world.chain()));
        assert!(world.leaf.signs_tokens() && !world.intermediate.certificate().signs_tokens());
        assert_eq!(world.leaf.not_after(), world.intermediate.certificate().not_after());
        assert_eq!((world.root.certificate().path_length(), world.leaf.path_length()), (Some(1), None));
        let serial = openssl.run("x509 -in leaf.pem -noout -serial");
        assert_eq!(serial.trim(), format!("serial={}", world.leaf.serial().to_uppercase()));
    }
}

#[test]
fn an_authority_that_may_have_none_below_it_makes_no_intermediate() {
    let (root, key) = new_root(&subject("Root"), KeyKind::EcdsaP256, now(), 20, &SystemRandom).unwrap();
    let root = Authority::new(root, key.expose()).unwrap();
    let (name, public_key) = (subject("Intermediate"), DeviceKey::generate(KeyKind::EcdsaP256).unwrap().public_key());
    let order = Order { subject: &name, public_key: &public_key, now: now(), days: 1 };
    assert_eq!(root.issue_intermediate(&order, &SystemRandom).unwrap_err(), PkiError::NotAnAuthority);
    let below = World::new(KeyKind::EcdsaP256).intermediate;
    assert_eq!(below.issue_intermediate(&order, &SystemRandom).unwrap_err(), PkiError::NotAnAuthority);
}

#[test]
fn what_is_no_chain_to_a_root_is_refused() {
    let world = World::new(KeyKind::EcdsaP256);
    let [leaf, intermediate, root] = world.chain().try_into().unwrap();
    let other = World::new(KeyKind::EcdsaP256);
    let (flat, flat_key) = new_root(&subject("Flat"), KeyKind::EcdsaP256, now(), 20, &SystemRandom).unwrap();
    let flat_authority = Authority::new(flat.clone(), flat_key.expose()).unwrap();
    // A leaf's key signs as an authority would: OpenSSL makes what ours does not.
    let openssl = Openssl::new();
    openssl.write("leaf.pem", &leaf.to_pem());
    openssl.write("leaf.key", world.key.to_pem().expose());
    openssl.write("flat.pem", &flat_authority.certificate().to_pem());
    openssl.write("flat.key", flat_key.expose());
    openssl.write("ca.cnf", "basicConstraints=critical,CA:TRUE\n");
    let signed_by = |issuer: &str, extensions: &str| {
        openssl.write("device.key", &openssl.run(P256));
        openssl.write("device.csr", &openssl.run("req -new -key device.key"));
        let by = format!("-CA {issuer}.pem -CAkey {issuer}.key -days 1 {extensions}");
        Certificate::from_pem(&openssl.run(&format!("x509 -req -in device.csr {by}"))).unwrap()
    };
    let by_leaf = signed_by("leaf", "");
    let intermediate_by_flat = signed_by("flat", "-extfile ca.cnf");
    openssl.write("below.pem", &intermediate_by_flat.to_pem());
    openssl.write("below.key", &openssl.run("pkey -in device.key"));
    let below_flat = signed_by("below", "");
    let cases = [
        ("empty", vec![]),
        ("no root", vec![leaf.clone(), intermediate.clone()]),
        ("a leaf alone", vec![leaf.clone()]),
        ("no intermediate", vec![leaf.clone(), root.clone()]),
        ("another intermediate", vec![leaf.clone(), other.intermediate.certificate().clone(), root.clone()]),
        ("another root of the same name", vec![leaf.clone(), intermediate.clone(), other.root.certificate().clone()]),
        ("out of order", vec![intermediate.clone(), leaf.clone(), root.clone()]),
        ("the root twice and no intermediate", vec![leaf.clone(), root.clone(), root.clone()]),
        ("signed by a leaf", vec![by_leaf, leaf.clone(), intermediate.clone(), root.clone()]),
        ("deeper than the root allows", vec![below_flat, intermediate_by_flat.clone(), flat.clone()]),
    ];
    for (name, chain) in cases {
        assert!(!is_chain(&chain), "{name}");
    }
    assert!(is_chain(&[leaf, intermediate.clone(), root.clone()]) && is_chain(&[intermediate, root.clone()]));
    assert!(is_chain(&[root]) && is_chain(&[intermediate_by_flat, flat]));
}

#[test]
fn a_chain_reads_in_the_order_in_which_it_stands() {
    let world = World::new(KeyKind::EcdsaP256);
    let chain = world.chain();
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    assert_eq!(Certificate::chain_from_pem(&pem).unwrap(), chain);
    let one = world.leaf.to_pem();
    for (name, bad, error) in [
        ("empty", String::new(), PkiError::MalformedPem),
        ("text between", format!("{one}text\n{one}"), PkiError::MalformedPem),
        ("a key among them", format!("{one}{}", world.key.to_pem().expose()), PkiError::WrongLabel),
        ("nine", one.repeat(9), PkiError::SeveralBlocks),
        ("no certificate", one.replacen("MII", "MIJ", 1), PkiError::MalformedCertificate),
        ("too large", format!("{one}{}", " ".repeat(32 * 1024)), PkiError::Oversized),
    ] {
        assert_eq!(Certificate::chain_from_pem(&bad).unwrap_err(), error, "{name}");
    }
}

#[test]
fn openssl_reads_the_names_that_a_request_asks_for() {
    let openssl = Openssl::new();
    let asked =
        names(&["web.example.com", "192.0.2.1", "2001:db8::1", "alice@example.com", "spiffe://example.com/web"]);
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048, KeyKind::Rsa4096] {
        let key = DeviceKey::generate(kind).unwrap();
        let request = key.csr_with_alt_names(&subject("web.example.com"), &asked).unwrap();
        openssl.write("request.pem", &request.to_pem());
        let text = openssl.run("req -in request.pem -noout -text -verify -nameopt RFC2253");
        let expected = "X509v3 Subject Alternative Name: \n                    DNS:web.example.com, IP Address:192.0.2.1, \
                        IP Address:2001:DB8:0:0:0:0:0:1, email:alice@example.com, URI:spiffe://example.com/web\n";
        assert!(text.contains(expected) && text.contains("Subject: CN=web.example.com\n"), "{text}");
        assert_eq!(openssl.run("req -in request.pem -noout -pubkey"), key.public_key().to_pem());
        openssl.run("req -in request.pem -outform DER -out request.der");
        let digest = openssl.run("dgst -sha256 -r request.der");
        assert!(digest.starts_with(&request.digest().to_string()), "{digest}");
    }
    let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
    openssl.write("request.pem", &key.csr_with_alt_names(&subject("a"), &[]).unwrap().to_pem());
    let text = openssl.run("req -in request.pem -noout -text -verify");
    assert!(text.contains("Attributes:\n            (none)\n"), "{text}");
}

#[test]
fn the_names_in_a_certificate_are_read_as_openssl_wrote_them() {
    let openssl = Openssl::new();
    let key = openssl.run(P256);
    openssl.write("root.key", &key);
    let made = |subject: &str, names: &str| {
        let names = if names.is_empty() { String::new() } else { format!("-addext subjectAltName={names}") };
        let pem = openssl.run(&format!("req -x509 -new -key root.key -subj {subject} -set_serial 0x80ff {names}"));
        Certificate::from_pem(&pem).unwrap()
    };
    let all = "DNS:*.example.com,IP:192.0.2.1,IP:2001:db8::1,email:a@example.com,URI:urn:x,RID:1.2.3,dirName:dn";
    let certificate = made("/O=Example/CN=web", all);
    assert_eq!((certificate.common_name(), certificate.serial_decimal()), (Some("web"), "33023".to_owned()));
    let read = certificate.alt_names().unwrap();
    assert_eq!(
        read,
        [
            CertifiedName::Dns("*.example.com".into()),
            CertifiedName::Ip("192.0.2.1".parse().unwrap()),
            CertifiedName::Ip("2001:db8::1".parse().unwrap()),
            CertifiedName::Email("a@example.com".into()),
            CertifiedName::Uri("urn:x".into()),
            CertifiedName::Other,
            CertifiedName::Other,
        ]
    );
    for (at, name) in names(&["*.example.com", "192.0.2.1", "2001:db8::1", "a@example.com"]).iter().enumerate() {
        assert!(read.iter().enumerate().all(|(index, read)| read.is(name) == (index == at)), "{name}");
    }
    // Of another kind, with the same text.
    assert!(!CertifiedName::Dns("192.0.2.1".into()).is(&"192.0.2.1".parse().unwrap()));
    assert_eq!(made("/CN=a", "").alt_names(), Ok(vec![]));
    for without in ["/O=Example", "/CN=a/CN=b", "/CN=a+CN=b"] {
        assert_eq!(made(without, "").common_name(), None, "{without}");
    }
}

#[test]
fn certificates_of_another_authority_are_verified() {
    let openssl = Openssl::new();
    for kind in [P384, RSA_2048] {
        let key = openssl.run(kind);
        let root = Certificate::from_pem(&openssl.root(&key, "authority")).unwrap();
        openssl.write("ca.pem", &root.to_pem());
        openssl.write("device.key", &openssl.run(P256));
        openssl.write("device.csr", &openssl.run("req -new -key device.key"));
        let leaf = openssl.run("x509 -req -in device.csr -CA ca.pem -CAkey root.key -days 1 -sha384");
        let leaf = Certificate::from_pem(&leaf).unwrap();
        assert!(is_chain(&[leaf.clone(), root.clone()]), "{kind}");
        assert!(leaf.is_valid_at(now()) && !leaf.is_valid_at(now() + 2 * DAY) && !leaf.is_valid_at(now() - DAY));
        let fingerprint = openssl.run("x509 -in ca.pem -noout -fingerprint -sha256").replace(':', "").to_lowercase();
        let own: String = root.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(fingerprint.trim().rsplit('=').next().unwrap(), own);
    }
}

#[test]
fn openssl_verifies_what_a_key_signs_of_a_token() {
    let openssl = Openssl::new();
    openssl.write("message", "header.claims");
    for (kind, algorithm) in [(KeyKind::EcdsaP256, JwsAlgorithm::Es256), (KeyKind::Rsa4096, JwsAlgorithm::Rs256)] {
        let key = DeviceKey::generate(kind).unwrap();
        assert_eq!(key.jws_algorithm(), Some(algorithm));
        openssl.write("public.pem", &key.public_key().to_pem());
        for _ in 0..if kind == KeyKind::EcdsaP256 { 20 } else { 1 } {
            let signature = key.sign_jws(b"header.claims").unwrap();
            let der = if algorithm == JwsAlgorithm::Es256 { der_of(&signature) } else { signature };
            openssl.write_bytes("signature", &der);
            openssl.run("dgst -sha256 -verify public.pem -signature signature message");
        }
    }
    let key = DeviceKey::from_pem(&openssl.run(P384)).unwrap();
    assert_eq!((key.jws_algorithm(), key.sign_jws(b"a")), (None, Err(PkiError::UnacceptedKey)));
}

/// A signature of two numbers of 32 bytes in DER.
fn der_of(fixed: &[u8]) -> Vec<u8> {
    assert_eq!(fixed.len(), 64);
    let integers: Vec<u8> = fixed
        .chunks(32)
        .flat_map(|number| {
            let zeros = number.iter().take_while(|&&byte| byte == 0).count();
            let sign = (number[zeros] >= 0x80).then_some(0);
            let number: Vec<u8> = sign.into_iter().chain(number[zeros..].iter().copied()).collect();
            [&[2, u8::try_from(number.len()).unwrap()][..], &number].concat()
        })
        .collect();
    [&[0x30, u8::try_from(integers.len()).unwrap()][..], &integers].concat()
}

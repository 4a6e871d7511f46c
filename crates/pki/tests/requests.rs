//! Requests that OpenSSL makes, and what is wrong with the others.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod openssl;

use countersign_pki::{Csr, DeviceKey, KeyKind, MAX_PEM_BYTES, PkiError, Subject, SubjectFields};
use openssl::{Openssl, P256, P384, P521, RSA_2048};
use pem_rfc7468::LineEnding;
use proptest::{collection::vec, prelude::*, sample::Index};

const LABEL: &str = "CERTIFICATE REQUEST";

fn der(pem: &str) -> Vec<u8> {
    pem_rfc7468::decode_vec(pem.as_bytes()).unwrap().1
}

fn pem(der: &[u8]) -> String {
    pem_rfc7468::encode_string(LABEL, LineEnding::LF, der).unwrap()
}

fn device() -> Subject {
    Subject::new(&SubjectFields { common_name: Some("pump-7".into()), ..SubjectFields::default() }).unwrap()
}

#[test]
fn requests_of_each_kind_of_key_and_hash_are_accepted() {
    let openssl = Openssl::new();
    for key in [P256, P384, RSA_2048, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096"] {
        let private = openssl.run(key);
        for hash in ["-sha256", "-sha384", "-sha512"] {
            let text = openssl.request(&private, hash);
            let request = Csr::from_pem(&text).unwrap_or_else(|error| panic!("{key} {hash}: {error}"));
            assert_eq!(request.subject().to_string(), "CN=device");
            assert_eq!(request.public_key().to_pem(), openssl.run("pkey -in device.key -pubout"), "{key}");
            assert_eq!(request.public_key().is_rsa(), key.contains("RSA"));
            assert_eq!(request.to_pem(), text, "{key} {hash}");
        }
    }
}

#[test]
fn a_request_may_ask_for_what_every_device_gets() {
    let openssl = Openssl::new();
    let [ecdsa, rsa] = [P256, RSA_2048].map(|key| openssl.run(key));
    for (key, arguments) in [
        (&ecdsa, "-addext basicConstraints=critical,CA:FALSE"),
        (&ecdsa, "-addext keyUsage=digitalSignature -addext extendedKeyUsage=clientAuth"),
        (&rsa, "-addext keyUsage=critical,digitalSignature,keyEncipherment"),
        (&rsa, "-addext keyUsage=keyEncipherment"),
    ] {
        let request = openssl.request(key, arguments);
        assert!(Csr::from_pem(&request).is_ok(), "{arguments}");
    }
}

#[test]
fn a_name_is_read_as_openssl_writes_it() {
    let openssl = Openssl::new();
    let subject =
        "/CN=pump/emailAddress=a@example.com/O=Wasserwerke\u{2003}M\u{fc}nchen/OU=edge/L=Giesing/ST=Bayern/C=DE";
    let subject = subject.replace('\u{2003}', "-");
    let request = openssl.request(&openssl.run(P256), &format!("-utf8 -subj {subject}"));
    let request = Csr::from_pem(&request).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let fields = SubjectFields {
        common_name: text("pump"),
        organization: text("Wasserwerke-M\u{fc}nchen"),
        organizational_unit: text("edge"),
        locality: text("Giesing"),
        state_name: text("Bayern"),
        country: text("DE"),
        email_address: text("a@example.com"),
    };
    assert_eq!(request.subject().fields(), &fields);
    let line = "C=DE,ST=Bayern,L=Giesing,OU=edge,O=Wasserwerke-M\u{fc}nchen,emailAddress=a@example.com,CN=pump";
    assert_eq!(request.subject().to_string(), line);
}

#[test]
fn openssl_verifies_our_requests_and_we_read_them_back() {
    let openssl = Openssl::new();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let key = DeviceKey::generate(kind).unwrap();
        let request = key.csr(&device()).unwrap();
        openssl.write("request.pem", &request.to_pem());
        let text = openssl.run("req -in request.pem -noout -verify -text -nameopt RFC2253");
        assert!(text.contains("Subject: CN=pump-7\n"), "{text}");
        assert_eq!(Csr::from_pem(&request.to_pem()), Ok(request));
    }
}

#[test]
fn a_device_key_reads_back_and_openssl_reads_it() {
    let openssl = Openssl::new();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let key = DeviceKey::generate(kind).unwrap();
        assert_eq!(format!("{key:?}"), "[elided]");
        openssl.write("key.pem", key.to_pem().expose());
        assert_eq!(openssl.run("pkey -in key.pem -pubout"), key.public_key().to_pem());
        openssl.run("pkey -in key.pem -check -noout");
        let again = DeviceKey::from_pem(key.to_pem().expose()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
    }
    let large = openssl.run(P521);
    assert_eq!(DeviceKey::from_pem(&large).err(), Some(PkiError::UnacceptedKey));
}

#[test]
fn what_asks_for_more_is_refused() {
    let openssl = Openssl::new();
    let [ecdsa, rsa] = [P256, RSA_2048].map(|key| openssl.run(key));
    for (key, arguments, error) in [
        (&ecdsa, "-addext subjectAltName=DNS:example.com", PkiError::RequestedAltName),
        (&ecdsa, "-addext basicConstraints=CA:TRUE", PkiError::RequestedAuthority),
        (&ecdsa, "-addext basicConstraints=CA:FALSE,pathlen:0", PkiError::RequestedAuthority),
        (&ecdsa, "-addext keyUsage=keyEncipherment", PkiError::RequestedUsage),
        (&rsa, "-addext keyUsage=digitalSignature,nonRepudiation", PkiError::RequestedUsage),
        (&rsa, "-addext keyUsage=keyCertSign", PkiError::RequestedUsage),
        (&ecdsa, "-addext extendedKeyUsage=serverAuth", PkiError::RequestedUsage),
        (&ecdsa, "-addext extendedKeyUsage=clientAuth,serverAuth", PkiError::RequestedUsage),
        (&ecdsa, "-addext extendedKeyUsage=clientAuth,clientAuth", PkiError::RequestedUsage),
        (&ecdsa, "-addext nsComment=text", PkiError::RequestedExtension),
        (&ecdsa, "-addext 1.2.3.4=ASN1:NULL", PkiError::RequestedExtension),
        (&ecdsa, "-addext subjectKeyIdentifier=hash", PkiError::RequestedExtension),
        (&ecdsa, "-addext basicConstraints=DER:3000ff", PkiError::MalformedCsr),
        (&ecdsa, "-addext keyUsage=DER:03020080", PkiError::MalformedCsr),
        (&ecdsa, "-addext basicConstraints=DER:3003010100", PkiError::MalformedCsr),
    ] {
        let request = openssl.request(key, arguments);
        assert_eq!(Csr::from_pem(&request), Err(error), "{arguments}");
    }
    for (section, error) in [("challenge", PkiError::ChallengePassword), ("unstructured", PkiError::RequestedAttribute)]
    {
        let include = format!("[req]\nprompt=no\ndistinguished_name=dn\nattributes={section}\n.include openssl.cnf\n");
        openssl.write("other.cnf", &include);
        let request = openssl.request(&ecdsa, "-config other.cnf");
        assert_eq!(Csr::from_pem(&request), Err(error), "{section}");
    }
}

#[test]
fn keys_and_signatures_of_other_kinds_are_refused() {
    let openssl = Openssl::new();
    for (name, key, arguments, error) in [
        ("p521", P521, "", PkiError::UnacceptedKey),
        ("secp256k1", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "", PkiError::UnacceptedKey),
        (
            "explicit_curve",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "",
            PkiError::UnacceptedKey,
        ),
        ("ed25519", "genpkey -algorithm ed25519", "", PkiError::UnacceptedKey),
        ("rsa_1024", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", "", PkiError::UnacceptedKey),
        ("rsa_2047", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2047", "", PkiError::UnacceptedKey),
        ("rsa_4104", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4104", "", PkiError::UnacceptedKey),
        (
            "exponent_3",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3",
            "",
            PkiError::UnacceptedKey,
        ),
        ("pss_key", "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "", PkiError::UnacceptedKey),
        ("pss_signature", RSA_2048, "-sigopt rsa_padding_mode:pss", PkiError::UnacceptedSignature),
        ("rsa_sha1", RSA_2048, "-sha1", PkiError::UnacceptedSignature),
        ("ecdsa_sha1", P256, "-sha1", PkiError::UnacceptedSignature),
        ("rsa_md5", RSA_2048, "-md5", PkiError::UnacceptedSignature),
        ("sha224", P256, "-sha224", PkiError::UnacceptedSignature),
    ] {
        let request = openssl.request(&openssl.run(key), arguments);
        assert_eq!(Csr::from_pem(&request), Err(error), "{name}");
    }
    openssl.write("p256.key", &openssl.run(P256));
    let compressed = openssl.run("ec -in p256.key -conv_form compressed");
    assert_eq!(Csr::from_pem(&openssl.request(&compressed, "")), Err(PkiError::UnacceptedKey));
}

#[test]
fn names_of_other_forms_are_refused() {
    let openssl = Openssl::new();
    let key = openssl.run(P256);
    for (name, subject, error) in [
        ("unknown_attribute", "-subj /CN=a/serialNumber=7".to_owned(), PkiError::UnknownNameAttribute),
        ("domain_component", "-subj /DC=com/CN=a".to_owned(), PkiError::UnknownNameAttribute),
        ("repeated_attribute", "-subj /CN=a/CN=b".to_owned(), PkiError::RepeatedNameAttribute),
        ("multi_valued", "-multivalue-rdn -subj /CN=a+O=b".to_owned(), PkiError::MultiValuedName),
        ("empty", "-subj /".to_owned(), PkiError::EmptyName),
        ("small_country", "-subj /C=de/CN=a".to_owned(), PkiError::MalformedName),
        ("control_character", "-subj /CN=a\u{1}b".to_owned(), PkiError::MalformedName),
        ("right_to_left", "-utf8 -subj /CN=a\u{202e}b".to_owned(), PkiError::MalformedName),
    ] {
        let request = openssl.request(&key, &subject);
        assert_eq!(Csr::from_pem(&request), Err(error), "{name}");
    }
    for (mask, error) in [("MASK:0x800", PkiError::MalformedName), ("MASK:0x4", PkiError::MalformedName)] {
        let config =
            format!("[req]\nprompt=no\ndistinguished_name=dn\nstring_mask={mask}\nutf8=yes\n[dn]\nCN=m\u{fc}\n");
        openssl.write("mask.cnf", &config);
        assert_eq!(Csr::from_pem(&openssl.request(&key, "-config mask.cnf")), Err(error), "{mask}");
    }
}

#[test]
fn anything_beside_one_request_is_refused() {
    let request = DeviceKey::generate(KeyKind::EcdsaP256).unwrap().csr(&device()).unwrap().to_pem();
    let bytes = der(&request);
    let [0x30, 0x81, length, rest @ ..] = bytes.as_slice() else { panic!("a request of 128 to 255 bytes") };
    let long_length = [&[0x30, 0x82, 0, *length][..], rest].concat();
    let mut other_version = bytes.clone();
    let at = bytes.windows(3).position(|window| window == [2, 1, 0]).unwrap();
    other_version[at + 2] = 1;
    let mut other_name = bytes.clone();
    let at = bytes.windows(6).position(|window| window == b"pump-7").unwrap();
    other_name[at + 5] = b'8';
    let mut other_signature = bytes.clone();
    *other_signature.last_mut().unwrap() ^= 1;
    let mut off_the_curve = bytes.clone();
    let at = bytes.windows(4).position(|window| window == [0x03, 0x42, 0, 4]).unwrap();
    off_the_curve[at + 67] ^= 1;
    let blocks = |text: &str| text.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    for (name, text, error) in [
        ("empty", String::new(), PkiError::MalformedPem),
        ("der_alone", hex::encode(&bytes), PkiError::MalformedPem),
        ("text_before", format!("Certificate Request:\n{request}"), PkiError::MalformedPem),
        ("text_after", format!("{request}\ntext"), PkiError::MalformedPem),
        ("two_blocks", format!("{request}{request}"), PkiError::SeveralBlocks),
        ("certificate_beside", format!("{request}{}", blocks(&request)), PkiError::SeveralBlocks),
        ("another_label", blocks(&request), PkiError::WrongLabel),
        ("too_large", format!("{request}{}", " ".repeat(MAX_PEM_BYTES)), PkiError::Oversized),
        ("trailing_byte", pem(&[&bytes[..], &[0]].concat()), PkiError::MalformedCsr),
        ("cut", pem(&bytes[..bytes.len() - 1]), PkiError::MalformedCsr),
        ("long_length", pem(&long_length), PkiError::MalformedCsr),
        ("another_version", pem(&other_version), PkiError::MalformedCsr),
        ("altered_name", pem(&other_name), PkiError::WrongSignature),
        ("altered_signature", pem(&other_signature), PkiError::WrongSignature),
        ("point_off_the_curve", pem(&off_the_curve), PkiError::MalformedKey),
    ] {
        assert_eq!(Csr::from_pem(&text), Err(error), "{name}");
    }
}

#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        match change {
            Change::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Change::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Change::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

fn ours() -> &'static Csr {
    static REQUEST: std::sync::LazyLock<Csr> = std::sync::LazyLock::new(|| {
        let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
        key.csr(&device()).unwrap()
    });
    &REQUEST
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_request_that_was_altered_says_nothing_else(changes in vec(change(), 1..4)) {
        let request = ours();
        if let Ok(read) = Csr::from_pem(&pem(&changed(der(&request.to_pem()), &changes))) {
            prop_assert_eq!(&read, request);
        }
        let text = changed(request.to_pem().into_bytes(), &changes);
        if let Ok(read) = Csr::from_pem(&String::from_utf8_lossy(&text)) {
            prop_assert_eq!(&read, request);
        }
    }

    #[test]
    fn any_text_at_all_is_read_without_a_panic(text in "(-----BEGIN [A-Z ]{0,20}-----\n)?\\PC{0,200}(-----END [A-Z ]{0,20}-----)?\\s*") {
        prop_assert!(Csr::from_pem(&text).is_err());
    }
}

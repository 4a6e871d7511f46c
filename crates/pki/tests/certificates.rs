//! Certificates under authorities that OpenSSL made, judged by OpenSSL.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod openssl;

use std::collections::BTreeSet;

use countersign_pki::{
    Authority, Certificate, Csr, DeviceKey, KeyKind, Order, PkiError, Subject, SubjectFields, new_root,
    verification_certificate,
};
use openssl::{Openssl, P256, P384, P521, RSA_2048, now};
use pem_rfc7468::LineEnding;
use protocol::{Random, SystemRandom};

const DAY: u64 = 24 * 60 * 60;

fn subject(common_name: &str) -> Subject {
    let text = |text: &str| Some(text.to_owned());
    Subject::new(&SubjectFields {
        common_name: text(common_name),
        organization: text("Wasserwerke M\u{fc}nchen"),
        country: text("DE"),
        email_address: text("a@example.com"),
        ..SubjectFields::default()
    })
    .unwrap()
}

fn authority(openssl: &Openssl, key: &str, section: &str) -> Authority {
    let key = openssl.run(key);
    Authority::new(Certificate::from_pem(&openssl.root(&key, section)).unwrap(), &key).unwrap()
}

fn issue(authority: &Authority, key: &DeviceKey) -> Certificate {
    let (subject, public_key) = (subject("pump-7"), key.public_key());
    let order = Order { subject: &subject, public_key: &public_key, now: now(), days: 30 };
    authority.issue(&order, &SystemRandom).unwrap()
}

#[test]
fn openssl_accepts_what_an_authority_of_each_kind_issues() {
    let openssl = Openssl::new();
    openssl.write("rsa.key", &openssl.run(RSA_2048));
    openssl.write("ec.key", &openssl.run(P384));
    for (name, key, algorithm) in [
        ("rsa_2048_pkcs8", RSA_2048, "sha256WithRSAEncryption"),
        ("rsa_4096_pkcs8", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096", "sha256WithRSAEncryption"),
        ("rsa_pkcs1", "rsa -in rsa.key -traditional", "sha256WithRSAEncryption"),
        ("p256_pkcs8", P256, "ecdsa-with-SHA256"),
        ("p384_pkcs8", P384, "ecdsa-with-SHA384"),
        ("p521_pkcs8", P521, "ecdsa-with-SHA512"),
        ("p256_sec1", "ecparam -name prime256v1 -genkey -noout", "ecdsa-with-SHA256"),
        ("p256_sec1_with_parameters", "ecparam -name prime256v1 -genkey", "ecdsa-with-SHA256"),
        ("p384_sec1", "ec -in ec.key", "ecdsa-with-SHA384"),
        ("p521_sec1", "ecparam -name secp521r1 -genkey -noout", "ecdsa-with-SHA512"),
    ] {
        let authority = authority(&openssl, key, "authority");
        openssl.write("ca.pem", &authority.certificate().to_pem());
        for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
            let device = DeviceKey::generate(kind).unwrap();
            let certificate = issue(&authority, &device);
            openssl.write("device.pem", &certificate.to_pem());
            openssl.run("verify -purpose sslclient -x509_strict -check_ss_sig -CAfile ca.pem device.pem");
            let server = openssl.output("verify -purpose sslserver -CAfile ca.pem device.pem");
            assert!(!server.status.success(), "{name} is a server's too");
            let text = openssl.run("x509 -in device.pem -noout -text");
            assert_eq!(text.matches(&format!("Signature Algorithm: {algorithm}\n")).count(), 2, "{name}: {text}");
            assert_eq!(openssl.run("x509 -in device.pem -noout -pubkey"), device.public_key().to_pem());
            assert!(certificate.is_signed_by(authority.certificate()) && !certificate.is_ca(), "{name}");
            assert_eq!(certificate.issuer_text(), authority.certificate().subject_text(), "{name}");
        }
    }
}

#[test]
fn openssl_shows_each_field() {
    let openssl = Openssl::new();
    let authority = authority(&openssl, RSA_2048, "authority");
    openssl.write("ca.pem", &authority.certificate().to_pem());
    let identifier = openssl.run("x509 -in ca.pem -noout -ext subjectKeyIdentifier");
    let identifier = identifier.lines().nth(1).unwrap().trim().to_owned();
    for (kind, usage) in
        [(KeyKind::EcdsaP256, "Digital Signature\n"), (KeyKind::Rsa2048, "Digital Signature, Key Encipherment\n")]
    {
        let certificate = issue(&authority, &DeviceKey::generate(kind).unwrap());
        openssl.write("device.pem", &certificate.to_pem());
        let text = openssl.run("x509 -in device.pem -noout -text -nameopt RFC2253,utf8,-esc_msb");
        for expected in [
            "Version: 3 (0x2)",
            "Issuer: OU=Devices+CN=Root,O=Wasserwerke,C=DE\n",
            "Subject: emailAddress=a@example.com,CN=pump-7,O=Wasserwerke M\u{fc}nchen,C=DE\n",
            "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
            &format!("X509v3 Key Usage: critical\n                {usage}"),
            "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
            &format!("X509v3 Authority Key Identifier: \n                {identifier}\n"),
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert_eq!(text.matches("X509v3 ").count(), 6, "{text}");
        // What OpenSSL would call the key itself.
        let again = openssl.run("x509 -in device.pem -noout -ext subjectKeyIdentifier");
        openssl.write("bare.key", &openssl.run(P256));
        openssl.write("public.pem", &openssl.run("x509 -in device.pem -noout -pubkey"));
        openssl.write("bare.pem", &openssl.run("req -new -key bare.key"));
        openssl.write("names.cnf", "subjectKeyIdentifier=hash\n");
        let own = openssl.run("x509 -req -in bare.pem -signkey bare.key -force_pubkey public.pem -extfile names.cnf");
        openssl.write("own.pem", &own);
        assert_eq!(openssl.run("x509 -in own.pem -noout -ext subjectKeyIdentifier"), again);

        let fingerprint = openssl.run("x509 -in device.pem -noout -fingerprint -sha256");
        let fingerprint = fingerprint.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        assert_eq!(certificate.id().as_str(), fingerprint);
        let serial = openssl.run("x509 -in device.pem -noout -serial");
        assert_eq!(serial.trim(), format!("serial={}", certificate.serial().to_uppercase()));
        let strings = openssl.run("asn1parse -in device.pem");
        assert!(strings.contains("PRINTABLESTRING   :DE") && strings.contains("IA5STRING         :a@example.com"));
        assert!(strings.contains("UTF8STRING        :pump-7"));
    }
}

#[test]
fn a_serial_number_is_positive_has_128_bits_and_differs() {
    struct Same(u8);
    impl Random for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }
    let openssl = Openssl::new();
    let authority = authority(&openssl, P256, "authority");
    let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
    let (subject, public_key) = (subject("pump-7"), key.public_key());
    let order = Order { subject: &subject, public_key: &public_key, now: now(), days: 1 };
    let mut serials = BTreeSet::new();
    for _ in 0..100 {
        let certificate = authority.issue(&order, &SystemRandom).unwrap();
        let serial = certificate.serial();
        assert!(serial.len() == 32 && matches!(serial.as_bytes()[0], b'8'..=b'9' | b'a'..=b'f'), "{serial}");
        assert!(serials.insert(serial));
    }
    for (byte, serial) in [(0, "80000000000000000000000000000000"), (255, "ffffffffffffffffffffffffffffffff")] {
        let certificate = authority.issue(&order, &Same(byte)).unwrap();
        assert_eq!(certificate.serial(), serial);
        openssl.write("device.pem", &certificate.to_pem());
        assert_eq!(openssl.run("x509 -in device.pem -noout -serial"), format!("serial={}\n", serial.to_uppercase()));
    }
}

#[test]
fn an_authority_without_a_key_identifier_is_named_by_its_key() {
    let openssl = Openssl::new();
    let authority = authority(&openssl, P256, "authority_for_all");
    let certificate = issue(&authority, &DeviceKey::generate(KeyKind::EcdsaP256).unwrap());
    openssl.write("ca.pem", &authority.certificate().to_pem());
    openssl.write("device.pem", &certificate.to_pem());
    openssl.run("verify -purpose sslclient -CAfile ca.pem device.pem");
    assert!(openssl.run("x509 -in device.pem -noout -text").contains("X509v3 Authority Key Identifier"));
}

#[test]
fn an_authority_below_a_root_signs_too() {
    let openssl = Openssl::new();
    let (root_key, key) = (openssl.run(P256), openssl.run(RSA_2048));
    openssl.write("root.pem", &openssl.root(&root_key, "authority"));
    openssl.write("request.pem", &openssl.request(&key, "-subj /CN=Intermediate"));
    let intermediate = openssl.run(
        "x509 -req -in request.pem -CA root.pem -CAkey root.key -CAcreateserial -extfile openssl.cnf \
         -extensions authority",
    );
    let authority = Authority::new(Certificate::from_pem(&intermediate).unwrap(), &key).unwrap();
    let certificate = issue(&authority, &DeviceKey::generate(KeyKind::EcdsaP256).unwrap());
    openssl.write("intermediate.pem", &intermediate);
    openssl.write("device.pem", &certificate.to_pem());
    openssl.run("verify -purpose sslclient -x509_strict -CAfile root.pem -untrusted intermediate.pem device.pem");
}

#[test]
fn times_stay_within_the_authoritys() {
    let openssl = Openssl::new();
    let authority = authority(&openssl, P256, "authority");
    let (begin, end) = (authority.certificate().not_before(), authority.certificate().not_after());
    assert_eq!(end - begin, 365 * DAY);
    let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
    let (subject, public_key) = (subject("pump-7"), key.public_key());
    let issue = |now, days| {
        let order = Order { subject: &subject, public_key: &public_key, now, days };
        let certificate = authority.issue(&order, &SystemRandom)?;
        Ok::<_, PkiError>((certificate.not_before(), certificate.not_after()))
    };
    for (name, now, days, expected) in [
        ("in the midst", begin + DAY, 30, Ok((begin + DAY - 300, begin + 31 * DAY))),
        ("at the beginning", begin, 1, Ok((begin, begin + DAY))),
        ("soon after", begin + 299, 1, Ok((begin, begin + 299 + DAY))),
        ("to the end", begin + DAY, 364, Ok((begin + DAY - 300, end))),
        ("beyond the end", begin + DAY, 365, Ok((begin + DAY - 300, end))),
        ("for ever", begin + DAY, u32::MAX, Ok((begin + DAY - 300, end))),
        ("in the last second", end, 1, Ok((end - 300, end))),
        ("after the end", end + 1, 1, Err(PkiError::AuthorityEnded)),
        ("at the end of time", u64::MAX, 1, Err(PkiError::AuthorityEnded)),
        ("before the beginning", begin - 1, 1, Err(PkiError::AuthorityNotBegun)),
        ("at the epoch", 0, 1, Err(PkiError::AuthorityNotBegun)),
        ("for no day", begin + DAY, 0, Err(PkiError::WrongLifetime)),
    ] {
        assert_eq!(issue(now, days), expected, "{name}");
    }
}

#[test]
fn years_from_2050_on_have_four_digits() {
    let openssl = Openssl::new();
    let last_of_2049 = 2_524_607_999;
    for (end, form) in [(last_of_2049, "UTCTIME"), (last_of_2049 + 1, "GENERALIZEDTIME")] {
        let (root, _) = new_root(&subject("Root"), KeyKind::EcdsaP256, end - DAY, 1, &SystemRandom).unwrap();
        assert_eq!((root.not_before(), root.not_after()), (end - DAY - 300, end));
        openssl.write("root.pem", &root.to_pem());
        let times = openssl.run("asn1parse -in root.pem");
        let times: Vec<_> = times.lines().filter(|line| line.contains("TIME")).collect();
        assert!(times[0].contains("UTCTIME") && times[1].contains(form), "{times:?}");
    }
    for (now, days) in [(now(), u32::MAX), (u64::MAX, 1), (now(), 0)] {
        let root = new_root(&subject("Root"), KeyKind::EcdsaP256, now, days, &SystemRandom);
        assert_eq!(root.err(), Some(PkiError::WrongLifetime));
    }
}

#[test]
fn a_root_of_ours_is_an_authority_to_openssl_as_well() {
    let openssl = Openssl::new();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let (root, key) = new_root(&subject("Root"), kind, now(), 3650, &SystemRandom).unwrap();
        assert!(root.is_ca() && root.is_signed_by(&root));
        openssl.write("ca.pem", &root.to_pem());
        openssl.write("ca.key", key.expose());
        openssl.run("verify -x509_strict -check_ss_sig -CAfile ca.pem ca.pem");
        assert_eq!(openssl.run("pkey -in ca.key -pubout"), openssl.run("x509 -in ca.pem -noout -pubkey"));
        let text = openssl.run("x509 -in ca.pem -noout -text");
        assert!(text.contains("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n"), "{text}");
        assert!(text.contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n"), "{text}");
        let authority = Authority::new(root, key.expose()).unwrap();
        let certificate = issue(&authority, &DeviceKey::generate(kind).unwrap());
        openssl.write("device.pem", &certificate.to_pem());
        openssl.run("verify -purpose sslclient -x509_strict -CAfile ca.pem device.pem");
        assert!(!format!("{authority:?}").contains("PRIVATE") && format!("{authority:?}").contains("[elided]"));
    }
}

#[test]
fn a_verification_certificate_has_the_registration_code_and_a_day() {
    let openssl = Openssl::new();
    let authority = authority(&openssl, RSA_2048, "authority");
    openssl.write("ca.pem", &authority.certificate().to_pem());
    let code = "5a".repeat(32);
    let certificate = verification_certificate(&authority, &code, now() + 1000, &SystemRandom).unwrap();
    assert_eq!(certificate.subject_text(), format!("CN={code}"));
    assert_eq!(certificate.not_after(), certificate.not_before().max(now() + 700) + 300 + DAY);
    openssl.write("device.pem", &certificate.to_pem());
    openssl.run(&format!("verify -attime {} -CAfile ca.pem device.pem", now() + 1000));
    let refused = verification_certificate(&authority, "", now(), &SystemRandom);
    assert_eq!(refused, Err(PkiError::MalformedName));
}

#[test]
fn a_device_certificate_follows_its_request() {
    let openssl = Openssl::new();
    let authority = authority(&openssl, P256, "authority");
    let request = openssl.request(&openssl.run(P384), "-subj /CN=pump/O=Wasserwerke/C=DE");
    let request = Csr::from_pem(&request).unwrap();
    let order = Order { subject: request.subject(), public_key: request.public_key(), now: now(), days: 1 };
    let certificate = authority.issue(&order, &SystemRandom).unwrap();
    openssl.write("device.pem", &certificate.to_pem());
    assert_eq!(openssl.run("x509 -in device.pem -noout -pubkey"), openssl.run("pkey -in device.key -pubout"));
    assert_eq!(certificate.public_key().as_ref(), Ok(request.public_key()));
    assert_eq!(certificate.subject_text(), "C=DE,O=Wasserwerke,CN=pump");
    assert_eq!(Certificate::from_pem(&certificate.to_pem()), Ok(certificate));
}

#[test]
fn what_is_no_authority_is_refused() {
    let openssl = Openssl::new();
    let (key, other) = (openssl.run(P256), openssl.run(P256));
    let certificate = openssl.root(&key, "authority");
    openssl.write("p.key", &key);
    openssl.write("r.key", &openssl.run(RSA_2048));
    let encrypted_pkcs8 = openssl.run("pkcs8 -topk8 -in p.key -passout pass:opensesame");
    let encrypted_sec1 = openssl.run("ec -in p.key -aes128 -passout pass:opensesame");
    let encrypted_pkcs1 = openssl.run("rsa -in r.key -traditional -aes128 -passout pass:opensesame");
    let public = openssl.run("pkey -in p.key -pubout");
    let cut = key.replacen("MIG", "MIH", 1);
    let relabelled = key.replace("PRIVATE KEY", "RSA PRIVATE KEY");
    let section = |section: &str| openssl.root(&key, section);
    let small = openssl.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024");
    let edwards = openssl.run("genpkey -algorithm ed25519");
    let foreign = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1";
    for (name, certificate, key, error) in [
        ("another_key", certificate.clone(), &other, PkiError::KeyMismatch),
        ("key_of_another_kind", certificate.clone(), &openssl.run(RSA_2048), PkiError::KeyMismatch),
        ("ca_false", section("no_authority"), &key, PkiError::NotAnAuthority),
        ("no_basic_constraints", section("no_constraints"), &key, PkiError::NotAnAuthority),
        ("no_key_cert_sign", section("signs_nothing"), &key, PkiError::NotAnAuthority),
        ("servers_only", section("authority_for_servers"), &key, PkiError::NotAnAuthority),
        ("encrypted_pkcs8", certificate.clone(), &encrypted_pkcs8, PkiError::EncryptedKey),
        ("encrypted_sec1", certificate.clone(), &encrypted_sec1, PkiError::EncryptedKey),
        ("encrypted_pkcs1", certificate.clone(), &encrypted_pkcs1, PkiError::EncryptedKey),
        ("no_key", certificate.clone(), &String::new(), PkiError::MalformedPem),
        ("garbage", certificate.clone(), &"garbage".to_owned(), PkiError::MalformedPem),
        ("public_key", certificate.clone(), &public, PkiError::WrongLabel),
        ("certificate_as_key", certificate.clone(), &certificate, PkiError::WrongLabel),
        ("two_keys", certificate.clone(), &format!("{key}{key}"), PkiError::SeveralBlocks),
        ("cut", certificate.clone(), &cut, PkiError::MalformedKey),
        ("another_label", certificate.clone(), &relabelled, PkiError::MalformedKey),
        ("rsa_1024", openssl.root(&small, "authority"), &small, PkiError::UnacceptedKey),
        ("ed25519", openssl.root(&edwards, "authority"), &edwards, PkiError::UnacceptedKey),
        ("ed25519_key", certificate.clone(), &edwards, PkiError::MalformedKey),
        ("secp256k1", openssl.root(&openssl.run(foreign), "authority"), &key, PkiError::UnacceptedKey),
    ] {
        let certificate = Certificate::from_pem(&certificate).unwrap();
        assert_eq!(Authority::new(certificate, key).err(), Some(error), "{name}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let openssl = Openssl::new();
    let certificate = openssl.root(&openssl.run(P256), "authority");
    let der = pem_rfc7468::decode_vec(certificate.as_bytes()).unwrap().1;
    let pem = |der: &[u8]| pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).unwrap();
    for (name, text, error) in [
        ("empty", String::new(), PkiError::MalformedPem),
        ("garbage", "garbage".to_owned(), PkiError::MalformedPem),
        ("two", format!("{certificate}{certificate}"), PkiError::SeveralBlocks),
        ("request", certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST"), PkiError::WrongLabel),
        ("nothing_in_it", pem(&[]), PkiError::MalformedPem),
        ("trailing_byte", pem(&[&der[..], &[0]].concat()), PkiError::MalformedCertificate),
        ("cut", pem(&der[..der.len() - 1]), PkiError::MalformedCertificate),
    ] {
        assert_eq!(Certificate::from_pem(&text), Err(error), "{name}");
    }
}

#[test]
fn a_certificate_that_somebody_else_signed_is_not_ours() {
    let openssl = Openssl::new();
    let [ours, theirs] = [P256, P256].map(|key| authority(&openssl, key, "authority"));
    let certificate = issue(&ours, &DeviceKey::generate(KeyKind::EcdsaP256).unwrap());
    assert_eq!(ours.certificate().subject_text(), theirs.certificate().subject_text());
    assert!(certificate.is_signed_by(ours.certificate()));
    assert!(!certificate.is_signed_by(theirs.certificate()));
    let (same_name, _) = new_root(&subject("Root"), KeyKind::EcdsaP256, now(), 1, &SystemRandom).unwrap();
    assert!(!certificate.is_signed_by(&same_name) && !ours.certificate().is_signed_by(&certificate));
    let der = pem_rfc7468::decode_vec(certificate.to_pem().as_bytes()).unwrap().1;
    for at in 0..der.len() {
        let mut altered = der.clone();
        altered[at] ^= 1;
        if let Ok(altered) = Certificate::from_der(&altered) {
            let _ = (altered.subject_text(), altered.issuer_text(), altered.public_key().is_ok(), altered.serial());
            assert!(!altered.is_signed_by(ours.certificate()), "the byte at {at}");
        }
    }
}

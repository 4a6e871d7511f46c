use x509_cert::{
    der::{
        Encode,
        asn1::OctetString,
        flagset::FlagSet,
        oid::{AssociatedOid, db::rfc5280::ID_KP_CLIENT_AUTH},
    },
    ext::{
        Extension,
        pkix::{AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier},
    },
};

use crate::{PublicKey, encoding::der};

/// What every device certificate has (RFC 5280 section 4.2.1).
pub(crate) fn of_device(public_key: &PublicKey, authority_key_identifier: &[u8]) -> Vec<Extension> {
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(octets(authority_key_identifier)),
        ..AuthorityKeyIdentifier::default()
    };
    vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None }),
        extension(true, &KeyUsage(device_usages(public_key))),
        extension(false, &ExtendedKeyUsage(vec![ID_KP_CLIENT_AUTH])),
        extension(false, &SubjectKeyIdentifier(octets(&public_key.identifier()))),
        extension(false, &authority),
    ]
}

/// What a root has. It signs devices alone, no authority below it. It names no other key, so it has no identifier of one.
pub(crate) fn of_root(public_key: &PublicKey) -> Vec<Extension> {
    vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) }),
        extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)),
        extension(false, &SubjectKeyIdentifier(octets(&public_key.identifier()))),
    ]
}

/// Signing, and with RSA the key exchange of TLS 1.2 without forward secrecy, which some devices are left with.
pub(crate) fn device_usages(public_key: &PublicKey) -> FlagSet<KeyUsages> {
    if public_key.is_rsa() {
        KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment
    } else {
        KeyUsages::DigitalSignature.into()
    }
}

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Extension {
    Extension { extn_id: T::OID, critical, extn_value: octets(&der(value)) }
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).expect("a few kilobytes have a length that DER can write")
}

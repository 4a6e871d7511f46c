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
    of_client(public_key, authority_key_identifier, device_usages(public_key))
}

/// What the certificate of a key has that signs one-time tokens: as a device's, and of the usages signing alone.
pub(crate) fn of_token_signer(public_key: &PublicKey, authority_key_identifier: &[u8]) -> Vec<Extension> {
    of_client(public_key, authority_key_identifier, KeyUsages::DigitalSignature.into())
}

fn of_client(public_key: &PublicKey, authority_key_identifier: &[u8], usages: FlagSet<KeyUsages>) -> Vec<Extension> {
    vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None }),
        extension(true, &KeyUsage(usages)),
        extension(false, &ExtendedKeyUsage(vec![ID_KP_CLIENT_AUTH])),
        extension(false, &SubjectKeyIdentifier(octets(&public_key.identifier()))),
        authority(authority_key_identifier),
    ]
}

/// What an intermediate has, which signs no authority.
pub(crate) fn of_intermediate(public_key: &PublicKey, authority_key_identifier: &[u8]) -> Vec<Extension> {
    let mut extensions = of_root(public_key, 0);
    extensions.push(authority(authority_key_identifier));
    extensions
}

/// What a root has, with so many authorities below one another. It names no other key, so it has no identifier of one.
pub(crate) fn of_root(public_key: &PublicKey, path_length: u8) -> Vec<Extension> {
    vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(path_length) }),
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

fn authority(key_identifier: &[u8]) -> Extension {
    let key_identifier = Some(octets(key_identifier));
    extension(false, &AuthorityKeyIdentifier { key_identifier, ..AuthorityKeyIdentifier::default() })
}

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Extension {
    Extension { extn_id: T::OID, critical, extn_value: octets(&der(value)) }
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).expect("a few kilobytes have a length that DER can write")
}

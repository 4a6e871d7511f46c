use protocol::{Random, Secret};

use crate::{
    Certificate, KeyKind, PkiError, Subject,
    draft::{BACKDATED_SECONDS, Draft, SECONDS_PER_DAY},
    extension,
    signing_key::SigningKey,
};

/// Makes a root authority, for those who have none: its certificate and its private key as PKCS#8 PEM.
///
/// The certificate may sign devices' certificates and revocation lists, no authority's, and is valid from five minutes before `now` (Unix
/// seconds) for `days`, at least 1.
///
/// # Errors
/// [`PkiError::WrongLifetime`], [`PkiError::Cryptography`].
pub fn new_root(
    subject: &Subject,
    kind: KeyKind,
    now: u64,
    days: u32,
    random: &(impl Random + ?Sized),
) -> Result<(Certificate, Secret<String>), PkiError> {
    root(subject, kind, now, days, 0, random)
}

/// Makes a root authority that signs intermediates: as [`new_root`], with one authority at most below it.
///
/// # Errors
/// As [`new_root`].
pub fn new_upper_root(
    subject: &Subject,
    kind: KeyKind,
    now: u64,
    days: u32,
    random: &(impl Random + ?Sized),
) -> Result<(Certificate, Secret<String>), PkiError> {
    root(subject, kind, now, days, 1, random)
}

fn root(
    subject: &Subject,
    kind: KeyKind,
    now: u64,
    days: u32,
    path_length: u8,
    random: &(impl Random + ?Sized),
) -> Result<(Certificate, Secret<String>), PkiError> {
    if days == 0 {
        return Err(PkiError::WrongLifetime);
    }
    let key = SigningKey::generate(kind)?;
    let draft = Draft {
        issuer: subject.as_der(),
        subject: subject.as_der(),
        public_key: key.public(),
        not_before: now.saturating_sub(BACKDATED_SECONDS),
        not_after: now.saturating_add(u64::from(days) * SECONDS_PER_DAY),
        extensions: extension::of_root(key.public(), path_length),
    };
    Ok((draft.sign(&key, random)?, key.to_pem()))
}

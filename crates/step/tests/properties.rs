//! Texts of strangers are read or refused, and what was read has one form.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{fmt::Display, str::FromStr};

use countersign_step::{Ca, CaUrl, JwkKey, ProvisionerName, RootFingerprint, SerialNumber, X5cKey, x5c::Issuer};
use proptest::prelude::*;
use protocol::{AltName, SubjectName};

/// Reads a text, and its form again.
fn is_stable<T: FromStr + Display + PartialEq>(text: &str) -> bool {
    let Ok(value) = text.parse::<T>() else { return true };
    let form = value.to_string();
    form.parse::<T>().is_ok_and(|again| again == value && again.to_string() == form)
}

proptest! {
    #[test]
    fn a_text_has_one_form(text in "\\PC{0,100}", near in "(https://)?[\\[\\]a-zA-Z0-9.:/@*%_+-]{0,70}", digits in "[0-9a-fA-F:]{32,100}") {
        for text in [&text, &near, &digits] {
            prop_assert!(is_stable::<CaUrl>(text));
            prop_assert!(is_stable::<RootFingerprint>(text));
            prop_assert!(is_stable::<SerialNumber>(text));
            prop_assert!(is_stable::<ProvisionerName>(text));
            prop_assert!(is_stable::<SubjectName>(text));
            prop_assert!(is_stable::<AltName>(text));
        }
    }

    #[test]
    fn no_text_is_a_key_by_chance(text in "\\PC{0,200}", object in "\\{(\"[a-z5]{1,5}\":\"[a-zA-Z0-9]{0,9}\",?){0,7}\\}", jwe in "[a-zA-Z0-9_-]{0,40}(\\.[a-zA-Z0-9_-]{0,40}){4}") {
        for text in [&text, &object, &jwe] {
            prop_assert!(JwkKey::from_json(text).is_err());
            prop_assert!(JwkKey::from_encrypted(text, b"password").is_err());
            prop_assert!(X5cKey::from_json(text).is_err());
            prop_assert!(Issuer::from_json(text).is_err());
            prop_assert!(Ca::from_json(text.as_bytes()).is_none());
        }
    }
}

use std::fmt::Write as _;

use x509_cert::{
    attr::AttributeTypeAndValue,
    der::{
        Tag, Tagged as _,
        oid::{
            ObjectIdentifier,
            db::{rfc3280::EMAIL_ADDRESS, rfc4519},
        },
    },
    name::Name,
};

use crate::encoding::der;

/// Attribute types and their names in RFC 4514 section 3 and in LDAP's registry, in the order in which we write them.
pub(crate) const TYPES: [(ObjectIdentifier, &str); 7] = [
    (rfc4519::COUNTRY_NAME, "C"),
    (rfc4519::ST, "ST"),
    (rfc4519::LOCALITY_NAME, "L"),
    (rfc4519::ORGANIZATION_NAME, "O"),
    (rfc4519::ORGANIZATIONAL_UNIT_NAME, "OU"),
    (rfc4519::COMMON_NAME, "CN"),
    (EMAIL_ADDRESS, "emailAddress"),
];

/// A distinguished name as one line of text (RFC 4514), whatever is in it.
pub(crate) fn text(name: &Name) -> String {
    let mut places: Vec<String> =
        name.iter_rdn().map(|values| values.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    // Section 2.1: the last one first.
    places.reverse();
    places.join(",")
}

/// Whether a character stands for itself on a line: neither a control character, nor one that breaks a line or changes
/// the direction of the text after it.
pub(crate) fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn attribute(attribute: &AttributeTypeAndValue) -> String {
    let known = TYPES.iter().find(|(oid, _)| *oid == attribute.oid);
    let is_text = matches!(attribute.value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    match (known, str::from_utf8(attribute.value.value())) {
        (Some((_, name)), Ok(value)) if is_text => format!("{name}={}", escaped(value)),
        // Section 2.4: what has no text is written as the hex digits of its encoding.
        _ => format!("{}=#{}", attribute.oid, hex::encode(der(&attribute.value))),
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let is_special = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '=' | '\\')
            || (at == 0 && matches!(character, ' ' | '#'))
            || (at == last && character == ' ');
        if is_plain(character) {
            text.extend(is_special.then_some('\\'));
            text.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(text, "\\{byte:02X}").expect("a String takes what is written to it");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_one_line_and_one_value() {
        for (value, text) in [
            ("plain", "plain"),
            ("a,O=b+c=d", "a\\,O\\=b\\+c\\=d"),
            (" a ", "\\ a\\ "),
            (" ", "\\ "),
            ("#1", "\\#1"),
            ("a\nb\u{2028}c\u{202e}", "a\\0Ab\\E2\\80\\A8c\\E2\\80\\AE"),
            ("M\u{fc}nchen", "M\u{fc}nchen"),
            ("", ""),
        ] {
            assert_eq!(escaped(value), text);
        }
    }
}

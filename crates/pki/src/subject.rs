use std::fmt;

use x509_cert::{
    attr::AttributeTypeAndValue,
    der::{
        Any, Decode as _, Tag, Tagged as _,
        oid::{
            ObjectIdentifier,
            db::{rfc3280::EMAIL_ADDRESS, rfc4519},
        },
    },
    name::Name,
};

use crate::{
    PkiError,
    encoding::{der, sequence, wrapped},
    name,
};

/// The attributes that a device's name may have, each at most once.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct SubjectFields {
    /// CN, at most 64 characters.
    pub common_name: Option<String>,
    /// O, at most 64 characters.
    pub organization: Option<String>,
    /// OU, at most 64 characters.
    pub organizational_unit: Option<String>,
    /// L, at most 128 characters.
    pub locality: Option<String>,
    /// ST, at most 128 characters.
    pub state_name: Option<String>,
    /// C, two capital letters.
    pub country: Option<String>,
    /// emailAddress (RFC 2985), at most 255 characters of ASCII. Not checked: that it is an address.
    pub email_address: Option<String>,
}

/// A device's distinguished name (RFC 5280 section 4.1.2.6): at least one attribute, none twice, each within the upper
/// bounds of X.520 and without control characters.
///
/// A value neither begins nor ends with a space: comparisons of names pass over those (RFC 4518 section 2.6.1), and
/// two devices would have one name. `Display` is RFC 4514, on one line whatever the values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    fields: SubjectFields,
    name: Name,
    der: Vec<u8>,
}

impl SubjectFields {
    fn value_mut(&mut self, oid: ObjectIdentifier) -> Option<&mut Option<String>> {
        match oid {
            rfc4519::COMMON_NAME => Some(&mut self.common_name),
            rfc4519::ORGANIZATION_NAME => Some(&mut self.organization),
            rfc4519::ORGANIZATIONAL_UNIT_NAME => Some(&mut self.organizational_unit),
            rfc4519::LOCALITY_NAME => Some(&mut self.locality),
            rfc4519::ST => Some(&mut self.state_name),
            rfc4519::COUNTRY_NAME => Some(&mut self.country),
            EMAIL_ADDRESS => Some(&mut self.email_address),
            _ => None,
        }
    }
}

impl Subject {
    /// Makes a name: UTF8String, except PrintableString for C and IA5String for emailAddress.
    ///
    /// # Errors
    /// [`PkiError::EmptyName`], [`PkiError::MalformedName`].
    pub fn new(fields: &SubjectFields) -> Result<Self, PkiError> {
        let mut rest = fields.clone();
        let mut places = Vec::new();
        for (oid, _) in name::TYPES {
            let Some(value) = rest.value_mut(oid).and_then(Option::take) else { continue };
            check(oid, &value)?;
            let tag = match oid {
                rfc4519::COUNTRY_NAME => Tag::PrintableString,
                EMAIL_ADDRESS => Tag::Ia5String,
                _ => Tag::Utf8String,
            };
            let attribute = sequence(&[&der(&oid), &wrapped(tag, value.into_bytes())]);
            places.push(wrapped(Tag::Set, attribute));
        }
        if places.is_empty() {
            return Err(PkiError::EmptyName);
        }
        let der = wrapped(Tag::Sequence, places.concat());
        let name = Name::from_der(&der).map_err(|_| PkiError::MalformedName)?;
        Ok(Self { fields: fields.clone(), name, der })
    }

    /// Takes a name out of a request, in its own order and with its own types of string: some devices compare.
    pub(crate) fn from_name(name: &Name) -> Result<Self, PkiError> {
        let mut fields = SubjectFields::default();
        for place in name.iter_rdn() {
            let mut values = place.iter();
            let (Some(attribute), None) = (values.next(), values.next()) else {
                return Err(PkiError::MultiValuedName);
            };
            let value = fields.value_mut(attribute.oid).ok_or(PkiError::UnknownNameAttribute)?;
            if value.is_some() {
                return Err(PkiError::RepeatedNameAttribute);
            }
            *value = Some(read(attribute)?);
        }
        if fields == SubjectFields::default() {
            return Err(PkiError::EmptyName);
        }
        Ok(Self { fields, name: name.clone(), der: der(name) })
    }

    /// Its attributes.
    #[must_use]
    pub const fn fields(&self) -> &SubjectFields {
        &self.fields
    }

    pub(crate) fn as_der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name::text(&self.name))
    }
}

fn read(attribute: &AttributeTypeAndValue) -> Result<String, PkiError> {
    let tag = attribute.value.tag();
    let is_expected = match attribute.oid {
        rfc4519::COUNTRY_NAME => tag == Tag::PrintableString,
        EMAIL_ADDRESS => tag == Tag::Ia5String,
        _ => matches!(tag, Tag::Utf8String | Tag::PrintableString),
    };
    // The decoder of `Any` does not look into a string.
    let is_printable = |value: &Any| tag != Tag::PrintableString || value.value().iter().all(|&byte| printable(byte));
    let value = str::from_utf8(attribute.value.value()).map_err(|_| PkiError::MalformedName)?;
    if !is_expected || !is_printable(&attribute.value) {
        return Err(PkiError::MalformedName);
    }
    check(attribute.oid, value)?;
    Ok(value.to_owned())
}

/// X.680 section 41.4.
const fn printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b' ' | b'\'' | b'(' | b')' | b'+' | b',' | b'-' | b'.' | b'/' | b':' | b'=' | b'?')
}

/// RFC 5280 appendix A.1, "Upper Bounds".
fn check(oid: ObjectIdentifier, value: &str) -> Result<(), PkiError> {
    let length = value.chars().count();
    let is_allowed = match oid {
        rfc4519::COUNTRY_NAME => length == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase()),
        EMAIL_ADDRESS => length <= 255 && value.is_ascii(),
        rfc4519::LOCALITY_NAME | rfc4519::ST => length <= 128,
        _ => length <= 64,
    };
    let is_text = !value.is_empty() && value.trim() == value && value.chars().all(name::is_plain);
    if is_allowed && is_text { Ok(()) } else { Err(PkiError::MalformedName) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::exact;

    fn all() -> SubjectFields {
        let text = |text: &str| Some(text.to_owned());
        SubjectFields {
            common_name: text("pump, 7"),
            organization: text("Wasserwerke M\u{fc}nchen"),
            organizational_unit: text("edge"),
            locality: text("M\u{fc}nchen"),
            state_name: text("Bayern"),
            country: text("DE"),
            email_address: text("pumps@example.com"),
        }
    }

    #[test]
    fn a_name_is_shown_last_attribute_first_and_escaped() {
        let subject = Subject::new(&all()).unwrap();
        let text = "emailAddress=pumps@example.com,CN=pump\\, 7,OU=edge,O=Wasserwerke M\u{fc}nchen,L=M\u{fc}nchen,\
                    ST=Bayern,C=DE";
        assert_eq!(subject.to_string(), text);
        assert_eq!(subject.fields(), &all());
    }

    #[test]
    fn a_name_reads_back_from_its_der() {
        let subject = Subject::new(&all()).unwrap();
        let name: Name = exact(subject.as_der()).unwrap();
        assert_eq!(Subject::from_name(&name), Ok(subject));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let fields = || SubjectFields { common_name: Some("a".into()), ..SubjectFields::default() };
        let long = |length| Some("\u{fc}".repeat(length));
        let text = |text: &str| Some(text.to_owned());
        for good in [
            SubjectFields { common_name: long(64), ..fields() },
            SubjectFields { locality: long(128), state_name: long(128), ..fields() },
            SubjectFields { email_address: text(&"a".repeat(255)), ..fields() },
        ] {
            assert!(Subject::new(&good).is_ok(), "{good:?}");
        }
        for bad in [
            SubjectFields { common_name: long(65), ..fields() },
            SubjectFields { common_name: text(""), ..fields() },
            SubjectFields { common_name: text(" a"), ..fields() },
            SubjectFields { common_name: text("a\u{a0}"), ..fields() },
            SubjectFields { common_name: text("a\0b"), ..fields() },
            SubjectFields { common_name: text("a\nb"), ..fields() },
            SubjectFields { common_name: text("a\u{202e}b"), ..fields() },
            SubjectFields { organization: long(65), ..fields() },
            SubjectFields { organizational_unit: long(65), ..fields() },
            SubjectFields { locality: long(129), ..fields() },
            SubjectFields { state_name: long(129), ..fields() },
            SubjectFields { country: text("de"), ..fields() },
            SubjectFields { country: text("DEU"), ..fields() },
            SubjectFields { country: text("D"), ..fields() },
            SubjectFields { country: text("\u{c4}\u{d6}"), ..fields() },
            SubjectFields { email_address: text(&"a".repeat(256)), ..fields() },
            SubjectFields { email_address: text("m\u{fc}ller@example.com"), ..fields() },
        ] {
            assert_eq!(Subject::new(&bad), Err(PkiError::MalformedName), "{bad:?}");
        }
        assert_eq!(Subject::new(&SubjectFields::default()), Err(PkiError::EmptyName));
    }
}

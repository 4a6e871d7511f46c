use x509_cert::der::{Any, AnyRef, Decode, Encode, Reader as _, Tag, asn1::BitString};

/// Writes a value in DER.
pub(crate) fn der(value: &impl Encode) -> Vec<u8> {
    value.to_der().expect("a value of a few kilobytes has a length that DER can write")
}

/// Wraps what is in DER already, as a SEQUENCE.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    wrapped(Tag::Sequence, parts.concat())
}

/// Wraps what is in DER already, under a tag.
pub(crate) fn wrapped(tag: Tag, content: Vec<u8>) -> Vec<u8> {
    der(&Any::new(tag, content).expect("a few kilobytes have a length that DER can write"))
}

/// Writes whole octets as a BIT STRING.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    der(&BitString::from_bytes(bytes).expect("a few kilobytes have a length that DER can write"))
}

/// Reads a value that is the whole of these bytes, and in the one form that DER has for it.
///
/// The decoder by itself takes some that are not, such as a set out of order.
pub(crate) fn exact<'a, T: Decode<'a> + Encode>(bytes: &'a [u8]) -> Option<T> {
    let value = T::from_der(bytes).ok()?;
    (value.to_der().ok()? == bytes).then_some(value)
}

/// The fields of a SEQUENCE, each as it is encoded.
pub(crate) fn fields(der: &[u8]) -> Result<Vec<&[u8]>, x509_cert::der::Error> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let mut fields = Vec::new();
        while !reader.is_finished() {
            fields.push(reader.tlv_bytes()?);
        }
        Ok(fields)
    })
}

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// base64url (RFC 4648 section 5), written without padding and read with or without it: older clients pad.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    LENIENT.encode(bytes)
}

/// Reads base64url with padding or without; `None` where it is none.
#[must_use]
pub fn decode_lenient(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}

//! JSON objects that hold private keys.

use protocol::Secret;
use serde::{Serialize, de::DeserializeOwned};

use crate::MAX_KEY_BYTES;

/// Reads an object; `None` where it is none, or not of this form.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Option<T> {
    // serde would take a list for a structure as well.
    json.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(json).ok())?
}

/// Writes an object.
pub(crate) fn write(value: &impl Serialize) -> Secret<String> {
    // Of its final size at once: a text that grows would leave copies behind.
    let mut json = Vec::with_capacity(MAX_KEY_BYTES);
    serde_json::to_writer(&mut json, value).expect("texts serialize");
    Secret::new(String::from_utf8(json).expect("JSON is UTF-8"))
}

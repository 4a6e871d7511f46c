/// Whether AWS IoT takes this as the name of a thing or of a thing group: 1 to 128 letters, digits, colons, `_` and `-`
/// (`CreateThing`, `CreateThingGroup`).
pub(crate) fn is_registry_name(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(valid)
}

//! The file format that sshd(8) calls `AUTHORIZED_KEYS`.

use ssh_key::authorized_keys::ConfigOptsIter;

use crate::{InvalidSshKey, SshKey};

/// A line of an `authorized_keys` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// The key.
    pub key: SshKey,
    /// `no-touch-required`: signatures of a security key that nobody touched are accepted.
    pub no_touch_required: bool,
    /// `verify-required`: a security key must have verified its user.
    pub verify_required: bool,
}

/// Why a line is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}")]
pub struct InvalidLine {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub source: LineError,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It holds no key that is accepted.
    #[error(transparent)]
    Key(#[from] InvalidSshKey),
    /// It has an option that is not understood here. To pass over one that restricts the key would widen it.
    #[error("an option other than no-touch-required and verify-required: what a key may have stands in policy")]
    Option,
    /// It has a control character, which could hide a part of it from whoever reads it.
    #[error("a control character")]
    Control,
}

impl AuthorizedKey {
    /// Reads a file: one key a line; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that is not accepted.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, InvalidLine> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines.map(|(index, line)| parse(line).map_err(|source| InvalidLine { line: index + 1, source })).collect()
    }
}

fn parse(line: &str) -> Result<AuthorizedKey, LineError> {
    if line.contains(|character: char| character.is_control() && character != '\t') {
        return Err(LineError::Control);
    }
    // sshd does it in this order: a line is a key, or else options and a key.
    let without_options = SshKey::from_openssh(line);
    if let Ok(key) = without_options {
        return Ok(AuthorizedKey { key, no_touch_required: false, verify_required: false });
    }
    let mut quoted = false;
    let end = line.find(|character| {
        quoted ^= character == '"';
        !quoted && (character == ' ' || character == '\t')
    });
    let (options, key) = line.split_at(end.unwrap_or(line.len()));
    // A line without options says best itself what is wrong with it.
    let key = SshKey::from_openssh(key.trim_start()).or(without_options)?;
    let (mut no_touch_required, mut verify_required) = (false, false);
    for option in ConfigOptsIter::new(options).map_err(|_| LineError::Option)? {
        // sshd(8): option names are case-insensitive.
        match option.to_ascii_lowercase().as_str() {
            "no-touch-required" => no_touch_required = true,
            "verify-required" => verify_required = true,
            _ => return Err(LineError::Option),
        }
    }
    Ok(AuthorizedKey { key, no_touch_required, verify_required })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsD3+RokDgW4qjQ4wBIB7Ae4HaoYewkvyWaxz/u1hY9";

    #[test]
    fn lines_are_keys_with_and_without_options_and_comments() {
        let file = format!(
            "# a comment\n\n{KEY}\n  {KEY} alice@laptop\n{KEY} alice and her laptop\r\nverify-required {KEY}\n\
             No-Touch-Required,verify-required\t{KEY} alice and her key\n"
        );
        let keys = AuthorizedKey::parse_file(&file).unwrap();
        let read = keys.iter().map(|key| (key.key.comment(), key.no_touch_required, key.verify_required));
        assert_eq!(
            read.collect::<Vec<_>>(),
            [
                ("", false, false),
                ("alice@laptop", false, false),
                ("alice and her laptop", false, false),
                ("", false, true),
                ("alice and her key", true, true),
            ]
        );
        assert!(keys.iter().all(|key| key.key.algorithm() == "ssh-ed25519" && !key.key.is_hardware()));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let short_rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDBexample";
        for (line, source) in [
            ("ssh-ed25519", LineError::Key(InvalidSshKey::Form)),
            ("ssh-ed25519 AAAA", LineError::Key(InvalidSshKey::Form)),
            (short_rsa, LineError::Key(InvalidSshKey::Form)),
            (&format!("from=\"10.0.0.0/8\" {KEY}"), LineError::Option),
            (&format!("command=\"echo hello world\",verify-required {KEY} c"), LineError::Option),
            (&format!("no-touch-required,expiry-time=\"20300101\" {KEY}"), LineError::Option),
            (&format!("cert-authority {KEY}"), LineError::Option),
            (&format!("{KEY} alice\u{1b}[1A\u{1b}[2K"), LineError::Control),
            (&format!("{KEY} alice\rbob"), LineError::Control),
            (&format!("verify-required {KEY}=="), LineError::Key(InvalidSshKey::Form)),
        ] {
            let file = format!("{KEY}\n{line}\n");
            assert_eq!(AuthorizedKey::parse_file(&file), Err(InvalidLine { line: 2, source }), "{line}");
        }
    }
}

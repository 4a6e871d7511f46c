use serde_json::Value;

/// A provisioner as the CA lists it to everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedProvisioner(Value);

impl ListedProvisioner {
    pub(crate) const fn new(listed: Value) -> Self {
        Self(listed)
    }

    /// Its type: `JWK`, `X5C`, `ACME` and others.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("type")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Whether it is one of this type and name. step-ca takes types in any case.
    #[must_use]
    pub fn is(&self, kind: &str, name: &str) -> bool {
        self.kind().eq_ignore_ascii_case(kind) && self.name() == name
    }

    /// The id of its key, where it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.0["key"]["kid"].as_str()
    }

    /// Whether its private key is listed with it, encrypted: whoever guesses the password has it.
    #[must_use]
    pub fn lists_encrypted_key(&self) -> bool {
        self.0["encryptedKey"].as_str().is_some_and(|key| !key.is_empty())
    }

    /// All that is listed.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.0
    }

    fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap_or_default()
    }
}

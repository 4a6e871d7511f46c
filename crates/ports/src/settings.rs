use std::str::FromStr;

/// The settings of a deployment: environment variables that `template.yaml` sets. A template can leave none out, so that one
/// which is empty counts as not set.
#[derive(Clone, Copy)]
pub struct Settings<'a>(&'a dyn Fn(&str) -> Option<String>);

/// A setting that is missing or cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable is missing or not valid: {0}")]
pub struct ConfigError(pub &'static str);

impl<'a> Settings<'a> {
    /// Reads them through `variable`, which gives the value of an environment variable.
    pub const fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(variable)
    }

    /// One that may be missing.
    #[must_use]
    pub fn optional(&self, name: &'static str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// One that must be there.
    ///
    /// # Errors
    /// [`ConfigError`] with its name.
    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or(ConfigError(name))
    }

    /// One that must be there and be read as something.
    ///
    /// # Errors
    /// [`ConfigError`] with its name.
    pub fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, ConfigError> {
        self.required(name)?.parse().map_err(|_| ConfigError(name))
    }
}

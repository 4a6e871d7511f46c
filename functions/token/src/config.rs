use std::time::Duration;

use ports::{ConfigError, Settings};

/// What a deployment decides, from environment variables that `template.yaml` sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it decides of tokens.
    pub tokens: issuer::Config,
    /// `NONCE_RATE`: how many nonces an address gets a minute from each running instance of this function.
    pub nonce_rate: u32,
    /// How long a request may take before it is given up; below the function's own time-out.
    pub deadline: Duration,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            tokens: issuer::Config::read(settings)?,
            nonce_rate: settings.parsed("NONCE_RATE")?,
            deadline: Duration::from_secs(8),
        })
    }

    /// The path that holds the broker's own secrets.
    #[must_use]
    pub fn reserved_path(&self) -> &str {
        self.tokens.key_secret.rsplit_once('/').map_or(&self.tokens.key_secret, |(path, _)| path)
    }
}

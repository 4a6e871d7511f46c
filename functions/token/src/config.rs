use std::time::Duration;

use ports::{ConfigError, Settings};

/// What a deployment decides, from environment variables that `template.yaml` sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it decides of tokens.
    pub tokens: issuer::Config,
    /// `NONCE_RATE`: how many nonces an address gets a minute from each running instance of this function, and how often it
    /// may come for a token.
    pub nonce_rate: u32,
    /// The host of `BROKER_URL`, where that is set: the one that clients ask at. Else it is the gateway's word.
    pub host: Option<String>,
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
            host: host(settings.optional("BROKER_URL").as_deref())?,
            deadline: Duration::from_secs(8),
        })
    }

    /// The path that holds the broker's own secrets.
    #[must_use]
    pub fn reserved_path(&self) -> &str {
        self.tokens.key_secret.rsplit_once('/').map_or(&self.tokens.key_secret, |(path, _)| path)
    }
}

fn host(url: Option<&str>) -> Result<Option<String>, ConfigError> {
    let Some(url) = url else { return Ok(None) };
    let url: axum::http::Uri = url.parse().map_err(|_| ConfigError("BROKER_URL"))?;
    url.host().map(|host| Some(host.to_ascii_lowercase())).ok_or(ConfigError("BROKER_URL"))
}

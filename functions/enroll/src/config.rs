use std::time::Duration;

use ports::{ConfigError, Settings};
use step::RegistrarConfig;

/// What a deployment decides, from environment variables that `template.yaml` sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it decides of one-time tokens.
    pub registrar: RegistrarConfig,
    /// `KEY_SECRET`: its path holds the broker's own secrets, which no policy opens.
    pub key_secret: String,
    /// `CODE_KEY_SECRET`: name of the secret with the key under which the ledger knows codes.
    pub code_key_secret: String,
    /// `ENROLL_RATE`: how often an address, or an IPv6 network of 64 bits, may ask for codes in five minutes, and how often it may show
    /// some.
    pub rate: u32,
    /// `CODES_PER_DAY`: how many codes a subject is sent in a day (UTC).
    pub codes_per_day: u32,
    /// Requests for codes are answered at a multiple of this after they came, so that the time does not tell whether one was sent:
    /// longer than the way to a sender usually takes, from cold too.
    pub grid: Duration,
    /// How long the sending of a code may take.
    pub sending: Duration,
    /// How long a request may take before it is given up; with one time the grid less than the function's own time-out.
    pub deadline: Duration,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            registrar: RegistrarConfig::read(settings)?,
            key_secret: settings.required("KEY_SECRET")?,
            code_key_secret: settings.required("CODE_KEY_SECRET")?,
            rate: settings.parsed("ENROLL_RATE")?,
            codes_per_day: settings.parsed("CODES_PER_DAY")?,
            grid: Duration::from_millis(1_500),
            sending: Duration::from_secs(5),
            deadline: Duration::from_secs(8),
        })
    }

    /// The path that holds the broker's own secrets.
    #[must_use]
    pub fn reserved_path(&self) -> &str {
        self.key_secret.rsplit_once('/').map_or(&self.key_secret, |(path, _)| path)
    }
}

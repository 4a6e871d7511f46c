use std::num::NonZeroU64;

use protocol::{Group, KeySize};

/// What a deployment decides, from environment variables that `template.yaml` sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// `AUDIENCE`: what goes into manifests as `audience`.
    pub audience: String,
    /// `GROUPS`: the groups to rotate, separated by commas.
    pub groups: Vec<Group>,
    /// `KEY_SECRET`: name of the server key's secret.
    pub key_secret: String,
    /// `KEY_BITS`: the server key's length: 2048, 3072 or 4096.
    pub key_size: KeySize,
    /// `ACCEPT_SECONDS`: how long the pool that is replaced is accepted.
    pub accept_seconds: NonZeroU64,
    /// `URL_PARAMETER`: name of the parameter that holds the broker's URL.
    pub url_parameter: String,
    /// `V1_GROUP`: the group whose material is copied to where v1 clients look for it; empty: none.
    pub v1_group: Option<Group>,
    /// `NPM_PACKAGES` and `NPM_TOKEN_SECRET`, where both are there.
    pub npm: Option<Npm>,
}

/// What is published to an npm registry.
#[derive(Clone, Debug)]
pub struct Npm {
    /// Groups and the packages of their material: `group=@scope/name`, separated by commas.
    pub packages: Vec<(Group, String)>,
    /// Name of the secret that holds the registry's token.
    pub token_secret: String,
}

/// A setting that is missing or cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("environment variable is missing or not valid: {0}")]
pub struct ConfigError(pub &'static str);

impl Config {
    /// Reads the settings through `variable`, which gives the value of an environment variable.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let required = |name| variable(name).filter(|value| !value.is_empty()).ok_or(ConfigError(name));
        let optional = |name| variable(name).filter(|value| !value.is_empty());
        let groups = Group::parse_list(&required("GROUPS")?).ok_or(ConfigError("GROUPS"))?;
        let known = |name: &str| groups.iter().find(|group| group.as_str() == name).cloned();
        let v1_group = optional("V1_GROUP").map(|name| known(&name).ok_or(ConfigError("V1_GROUP"))).transpose()?;
        let package =
            |entry: &str| entry.split_once('=').and_then(|(group, name)| Some((known(group)?, name.to_owned())));
        let npm = match (optional("NPM_PACKAGES"), optional("NPM_TOKEN_SECRET")) {
            (Some(packages), Some(token_secret)) => {
                let packages = packages.split(',').map(package).collect::<Option<_>>();
                Some(Npm { packages: packages.ok_or(ConfigError("NPM_PACKAGES"))?, token_secret })
            }
            _ => None,
        };
        let bits: u32 = required("KEY_BITS")?.parse().map_err(|_| ConfigError("KEY_BITS"))?;
        Ok(Self {
            audience: required("AUDIENCE")?,
            groups,
            v1_group,
            npm,
            key_secret: required("KEY_SECRET")?,
            key_size: bits.try_into().map_err(|_| ConfigError("KEY_BITS"))?,
            accept_seconds: required("ACCEPT_SECONDS")?.parse().map_err(|_| ConfigError("ACCEPT_SECONDS"))?,
            url_parameter: required("URL_PARAMETER")?,
        })
    }
}

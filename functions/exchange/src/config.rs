use std::{collections::BTreeMap, time::Duration};

use ports::{ConfigError, Settings};
use protocol::Group;
use serde::Deserialize;

/// What a deployment decides, from environment variables that `template.yaml` sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// `AUDIENCE`: the `aud` that requests must name.
    pub audience: String,
    /// `GROUPS`: the groups that exist, separated by commas. Other names are refused without asking S3.
    pub groups: Vec<Group>,
    /// `V1_GROUP`: the group whose pool v1 clients hold; empty: there are none.
    pub v1_group: Option<Group>,
    /// `SECRET_ARNS`: what the ARNs of this account's and region's secrets begin with, for v1 clients that name one so.
    pub secret_arns: String,
    /// `KEY_SECRET`: name of the server key's secret. Nothing under its path is ever released.
    pub key_secret: String,
    /// What it decides of access tokens.
    pub tokens: issuer::Config,
    /// What it decides of the one-time tokens of a step-ca.
    pub step: step::RegistrarConfig,
    /// `ROLES`: a JSON object of role aliases.
    pub roles: BTreeMap<String, RoleAlias>,
    /// `AUDIT_DAYS`: how long a row of the ledger is kept.
    pub audit_days: u64,
    /// Refusals on the v1 wire are answered at a multiple of this after they came, so that the time does not tell how far they
    /// came: longer than a write to the ledger and a look for a new generation usually take.
    pub v1_refusal_grid: Duration,
    /// How long an exchange may take before it is given up; below the function's own time-out.
    pub deadline: Duration,
}

/// A role that clients may ask for by alias.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleAlias {
    /// The role's ARN. The function's role must be allowed to assume it, and it must trust the function's role.
    pub role_arn: String,
    /// The longest session, and the one that a want without `seconds` gets: 900 to 3600, AWS's limit where one role
    /// assumes another.
    #[serde(default = "one_hour")]
    pub max_seconds: u32,
    /// Whether the credentials work from the caller's address alone.
    #[serde(default)]
    pub bind_source_ip: bool,
}

const fn one_hour() -> u32 {
    3600
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        let roles = settings.optional("ROLES").unwrap_or_else(|| "{}".into());
        let roles: BTreeMap<String, RoleAlias> = serde_json::from_str(&roles).map_err(|_| ConfigError("ROLES"))?;
        if roles.values().any(|role| !(900..=3600).contains(&role.max_seconds)) {
            return Err(ConfigError("ROLES"));
        }
        let groups = Group::parse_list(&settings.required("GROUPS")?).ok_or(ConfigError("GROUPS"))?;
        let known = |name: &str| groups.iter().find(|group| group.as_str() == name).cloned();
        let v1_group =
            settings.optional("V1_GROUP").map(|name| known(&name).ok_or(ConfigError("V1_GROUP"))).transpose()?;
        let key_secret = settings.required("KEY_SECRET")?;
        if !key_secret.contains('/') {
            return Err(ConfigError("KEY_SECRET"));
        }
        Ok(Self {
            audience: settings.required("AUDIENCE")?,
            groups,
            v1_group,
            secret_arns: settings.optional("SECRET_ARNS").unwrap_or_default(),
            key_secret,
            tokens: issuer::Config::read(settings)?,
            step: step::RegistrarConfig::read(settings)?,
            roles,
            audit_days: settings.parsed("AUDIT_DAYS")?,
            v1_refusal_grid: Duration::from_millis(100),
            deadline: Duration::from_secs(8),
        })
    }

    /// The path that holds the broker's own secrets.
    #[must_use]
    pub fn reserved_path(&self) -> &str {
        self.key_secret.rsplit_once('/').map_or(&self.key_secret, |(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: (&str, &str)) -> Result<Config, ConfigError> {
        let settings = [
            ("AUDIENCE", "countersign"),
            ("GROUPS", "web, batch"),
            ("KEY_SECRET", "countersign/server-key"),
            ("ROLES", r#"{"deploy":{"role_arn":"arn:aws:iam::123456789012:role/deploy"}}"#),
            ("TOKEN_KEY_SECRET", "countersign/token-key"),
            ("TOKEN_SECONDS", "3600"),
            ("MAX_TOKEN_SECONDS", "604800"),
            ("AUDIT_DAYS", "400"),
            ("STEP_SECRETS", "countersign/step-ca"),
        ];
        Config::read(Settings::new(&|name| {
            if name == change.0 {
                return Some(change.1.to_owned());
            }
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn a_whole_configuration_is_read() {
        let config = read(("", "")).unwrap();
        assert_eq!(config.groups.len(), 2);
        assert_eq!(config.reserved_path(), "countersign");
        assert_eq!(config.roles["deploy"].max_seconds, 3600);
        assert!(!config.roles["deploy"].bind_source_ip);
        assert!(read(("ROLES", "")).unwrap().roles.is_empty());
        assert!(config.v1_group.is_none() && read(("V1_GROUP", "")).unwrap().v1_group.is_none());
        assert_eq!(read(("V1_GROUP", "batch")).unwrap().v1_group.unwrap().as_str(), "batch");
    }

    #[test]
    fn what_is_not_valid_is_named() {
        for (name, value) in [
            ("AUDIENCE", ""),
            ("GROUPS", "web,../x"),
            ("GROUPS", ""),
            ("GROUPS", "web,web"),
            ("KEY_SECRET", "server-key"),
            ("V1_GROUP", "edge"),
            ("ROLES", "[]"),
            ("ROLES", r#"{"a":{"role_arn":"b","max_seconds":43200}}"#),
            ("ROLES", r#"{"a":{"role_arn":"b","bind":true}}"#),
            ("AUDIT_DAYS", "ever"),
            ("TOKEN_KEY_SECRET", ""),
            ("TOKEN_SECONDS", "0"),
            ("TOKEN_SECONDS", "604801"),
            ("MAX_TOKEN_SECONDS", "-1"),
            ("MAX_TOKEN_SECONDS", "0"),
            ("STEP_SECRETS", ""),
        ] {
            assert_eq!(read((name, value)).unwrap_err().0, name, "{value}");
        }
    }
}

use std::num::NonZeroU64;

use npm::PackageName;
use ports::{ConfigError, Settings};
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
    /// `TOKEN_KEY_SECRET`: name of the secret of the key that signs access tokens.
    pub token_key_secret: String,
    /// `MAX_TOKEN_SECONDS`: how long a token lives at most, and so how long a replaced token key verifies.
    pub max_token_seconds: u32,
    /// `URL_PARAMETER`: name of the parameter that holds the broker's URL.
    pub url_parameter: String,
    /// `V1_GROUP`: the group whose material is copied to where v1 clients look for it; empty: none.
    pub v1_group: Option<Group>,
    /// `STEP_SECRETS`: the first part of the names of the secrets of a step-ca's provisioner; empty: none is rotated.
    pub step_secrets: Option<String>,
    /// `NPM_PACKAGES` and `NPM_TOKEN_SECRET`, where anything is to be published.
    pub npm: Option<Npm>,
}

/// What is published to an npm registry.
#[derive(Clone, Debug)]
pub struct Npm {
    /// Groups and the packages of their material: `group=@scope/name`, separated by commas. Each group has its own, since whoever
    /// reads a package is the group.
    pub packages: Vec<(Group, PackageName)>,
    /// Name of the secret that holds the registry's token.
    pub token_secret: String,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first variable that is missing or not valid.
    pub fn read(settings: Settings<'_>) -> Result<Self, ConfigError> {
        let groups = Group::parse_list(&settings.required("GROUPS")?).ok_or(ConfigError("GROUPS"))?;
        let known = |name: &str| groups.iter().find(|group| group.as_str() == name).cloned();
        let v1_group =
            settings.optional("V1_GROUP").map(|name| known(&name).ok_or(ConfigError("V1_GROUP"))).transpose()?;
        let npm = match settings.optional("NPM_PACKAGES") {
            Some(packages) => {
                let packages = packages_of(&packages, &groups).ok_or(ConfigError("NPM_PACKAGES"))?;
                Some(Npm { packages, token_secret: settings.required("NPM_TOKEN_SECRET")? })
            }
            None => None,
        };
        let bits: u32 = settings.parsed("KEY_BITS")?;
        Ok(Self {
            audience: settings.required("AUDIENCE")?,
            groups,
            v1_group,
            step_secrets: settings.optional("STEP_SECRETS"),
            npm,
            key_secret: settings.required("KEY_SECRET")?,
            key_size: bits.try_into().map_err(|_| ConfigError("KEY_BITS"))?,
            accept_seconds: settings.parsed("ACCEPT_SECONDS")?,
            token_key_secret: settings.required("TOKEN_KEY_SECRET")?,
            max_token_seconds: settings.parsed("MAX_TOKEN_SECONDS")?,
            url_parameter: settings.required("URL_PARAMETER")?,
        })
    }
}

/// Reads `group=@scope/name,...`; `None` where a group does not exist, a name is not valid, or either stands twice.
fn packages_of(text: &str, groups: &[Group]) -> Option<Vec<(Group, PackageName)>> {
    let mut packages: Vec<(Group, PackageName)> = Vec::new();
    for entry in text.split(',') {
        let (group, name) = entry.split_once('=')?;
        let group = groups.iter().find(|known| known.as_str() == group)?;
        let name: PackageName = name.parse().ok()?;
        if packages.iter().any(|(known, package)| known == group || *package == name) {
            return None;
        }
        packages.push((group.clone(), name));
    }
    Some(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_a_package_of_its_own() {
        let groups = ["web".parse().unwrap(), "batch".parse().unwrap()];
        assert_eq!(packages_of("web=@acme/web,batch=@acme/batch", &groups).unwrap().len(), 2);
        for bad in ["", "web", "edge=@acme/edge", "web=keys", "web=@acme/a,batch=@acme/a", "web=@acme/a,web=@acme/b"] {
            assert_eq!(packages_of(bad, &groups), None, "{bad}");
        }
    }
}

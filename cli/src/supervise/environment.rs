use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use protocol::Secret;

use crate::config::Inherit;

/// What the variables begin with that are for Countersign itself.
const OURS: &[u8] = b"COUNTERSIGN_";

/// What else is for Countersign: the token of the registry that material is pulled from, which is worth a pool.
const TOKEN_OF_THE_ORIGIN: &str = "NPM_TOKEN";

/// What SDKs look at before the variables of the endpoint: on Amazon ECS, the task's own role.
const BEFORE_THE_ENDPOINT: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// The variables of a child: what it inherits, where the endpoint is, and its items. Later ones win.
///
/// `Debug` elides all of it: what is inherited may be secret, too.
#[derive(Clone)]
pub struct Environment {
    plain: BTreeMap<OsString, OsString>,
    items: Vec<(String, Secret<String>)>,
}

impl Environment {
    /// Of these variables, this process's own, what a child inherits. None that begins with `COUNTERSIGN_`, and `NPM_TOKEN` only where it is
    /// named.
    #[must_use]
    pub fn new(inherit: &Inherit, own: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let is_wanted = |name: &OsStr| match inherit {
            Inherit::All => name != TOKEN_OF_THE_ORIGIN,
            Inherit::These(names) => names.iter().any(|wanted| name == wanted.as_str()),
        };
        let own = own.into_iter().filter(|(name, _)| is_wanted(name) && !name.as_bytes().starts_with(OURS));
        Self { plain: own.collect(), items: Vec::new() }
    }

    /// Names the endpoint as AWS SDKs look for it: the file of its token, and the url of the credentials where there are
    /// credentials of one role.
    #[must_use]
    pub fn with_endpoint(mut self, token_file: &Path, credentials: Option<&str>) -> Self {
        if let Some(url) = credentials {
            self.plain.retain(|name, _| !BEFORE_THE_ENDPOINT.iter().any(|before| name == before));
            self.plain.insert("AWS_CONTAINER_CREDENTIALS_FULL_URI".into(), url.into());
        }
        self.plain.insert("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE".into(), token_file.into());
        self
    }

    /// The same with these items in place of others.
    #[must_use]
    pub fn with_items(&self, items: Vec<(String, Secret<String>)>) -> Self {
        Self { plain: self.plain.clone(), items }
    }

    /// Lends all of them. Secret.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let plain = self.plain.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        let items = self.items.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value.expose())));
        plain.chain(items)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[elided]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(names: &[&str]) -> Vec<(OsString, OsString)> {
        names.iter().map(|name| (name.into(), format!("own {name}").into())).collect()
    }

    fn names(environment: &Environment) -> Vec<&str> {
        environment.variables().map(|(name, _)| name.to_str().unwrap()).collect()
    }

    #[test]
    fn all_is_inherited_but_what_is_for_countersign() {
        let environment = Environment::new(&Inherit::All, own(&["PATH", "COUNTERSIGN_GROUP", "COUNTERSIGNED", "HOME"]));
        assert_eq!(names(&environment), ["COUNTERSIGNED", "HOME", "PATH"]);
    }

    #[test]
    fn just_what_is_named_is_inherited() {
        let inherit = Inherit::These(vec!["PATH".into(), "COUNTERSIGN_URL".into(), "ABSENT".into()]);
        let environment = Environment::new(&inherit, own(&["PATH", "PATHS", "COUNTERSIGN_URL", "HOME"]));
        assert_eq!(names(&environment), ["PATH"]);
    }

    #[test]
    fn the_token_of_the_registry_is_inherited_where_it_is_named() {
        let own = own(&["NPM_TOKEN", "NPM_TOKENS"]);
        assert_eq!(names(&Environment::new(&Inherit::All, own.clone())), ["NPM_TOKENS"]);
        assert_eq!(names(&Environment::new(&Inherit::These(vec!["NPM_TOKEN".into()]), own)), ["NPM_TOKEN"]);
    }

    #[test]
    fn an_item_wins_over_what_is_inherited() {
        let environment = Environment::new(&Inherit::All, own(&["TOKEN"]));
        let environment = environment.with_items(vec![("TOKEN".into(), Secret::new("item".into()))]);
        let variables: BTreeMap<_, _> = environment.variables().collect();
        assert_eq!(variables[OsStr::new("TOKEN")], "item");
    }

    #[test]
    fn the_endpoint_wins_over_the_role_of_an_ecs_task() {
        let own = own(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "PATH"]);
        let environment = Environment::new(&Inherit::All, own);
        let token = Path::new("/run/token");
        let with_role = environment.clone().with_endpoint(token, Some("http://127.0.0.1:2773/credentials/app"));
        let (uri, file) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        assert_eq!(names(&with_role), [file, uri, "PATH"]);
        let without = environment.with_endpoint(token, None);
        assert_eq!(without.variables().count(), 4, "the task's role is still the one that SDKs find");
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let environment = Environment::new(&Inherit::All, own(&["TOKEN"]));
        assert_eq!(format!("{environment:?}"), "[elided]");
    }
}

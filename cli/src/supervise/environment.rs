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

/// What SDKs look at before the variables of the endpoint: keys, a profile, web identity (IRSA), and on Amazon ECS the task's own role.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>
const BEFORE_THE_ENDPOINT: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

/// The variables of a child: what it inherits, where the endpoint is, and its items. Later ones win.
///
/// `Debug` elides all of it: what is inherited may be secret, too.
#[derive(Clone)]
pub struct Environment {
    plain: BTreeMap<OsString, OsString>,
    /// Whether what is inherited was named, so that it is meant.
    is_named: bool,
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
        Self { plain: own.collect(), is_named: matches!(inherit, Inherit::These(_)), items: Vec::new() }
    }

    /// Names the endpoint as AWS SDKs look for it, where there are credentials of one role: their url, and the file of the token. What SDKs
    /// look at before is not inherited then, unless it is named. Without such a url there is no token either: it would go to the url
    /// that is inherited, as on EKS.
    #[must_use]
    pub fn with_endpoint(mut self, token_file: &Path, credentials: Option<&str>) -> Self {
        if let Some(url) = credentials {
            let is_named = self.is_named;
            self.plain.retain(|name, _| is_named || !BEFORE_THE_ENDPOINT.iter().any(|before| name == before));
            self.plain.insert("AWS_CONTAINER_CREDENTIALS_FULL_URI".into(), url.into());
            self.plain.insert("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE".into(), token_file.into());
        }
        self
    }

    /// The same with these items in place of others.
    #[must_use]
    pub fn with_items(&self, items: Vec<(String, Secret<String>)>) -> Self {
        Self { plain: self.plain.clone(), is_named: self.is_named, items }
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

    /// Where the endpoint is, for a child that inherits this.
    fn with_role(inherit: &Inherit, own: Vec<(OsString, OsString)>) -> Environment {
        let url = Some("http://127.0.0.1:2773/credentials/app");
        Environment::new(inherit, own).with_endpoint(Path::new("/run/token"), url)
    }

    const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

    #[test]
    fn the_endpoint_wins_over_what_sdks_look_at_before() {
        let own = own(&[&BEFORE_THE_ENDPOINT[..], &["PATH", "AWS_REGION"]].concat());
        assert_eq!(names(&with_role(&Inherit::All, own)), [TOKEN, URI, "AWS_REGION", "PATH"]);
    }

    #[test]
    fn what_is_named_or_an_item_stays_before_the_endpoint() {
        let own = own(&["AWS_PROFILE", "AWS_ROLE_ARN"]);
        let named = with_role(&Inherit::These(vec!["AWS_PROFILE".into()]), own.clone());
        assert_eq!(names(&named), [TOKEN, URI, "AWS_PROFILE"]);
        let item = vec![("AWS_PROFILE".into(), Secret::new("item".into()))];
        let by_item = with_role(&Inherit::All, own).with_items(item);
        assert_eq!(names(&by_item), [TOKEN, URI, "AWS_PROFILE"]);
    }

    #[test]
    fn without_credentials_the_token_goes_to_no_inherited_url() {
        let own = own(&[URI, TOKEN, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]);
        let environment = Environment::new(&Inherit::All, own).with_endpoint(Path::new("/run/token"), None);
        let variables: BTreeMap<_, _> = environment.variables().collect();
        assert_eq!(variables.len(), 3, "SDKs find what they would find anyway");
        assert_ne!(variables[OsStr::new(TOKEN)], "/run/token");
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let environment = Environment::new(&Inherit::All, own(&["TOKEN"]));
        assert_eq!(format!("{environment:?}"), "[elided]");
    }
}

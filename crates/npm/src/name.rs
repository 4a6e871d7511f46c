use std::{fmt, str::FromStr};

use semver::Version;

/// The longest name of a package.
const MAX_NAME: usize = 214;

/// A package in a scope, `@scope/name`: a package without one is public.
///
/// Source: npm documentation, `package.json`, name. (Capital letters, which old packages may have, are not taken.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageName {
    scope: String,
    name: String,
}

/// A package and, where it is named, its version: `@scope/name[@version]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSpec {
    /// Which package.
    pub name: PackageName,
    /// Which version; without one, what the registry calls `latest`.
    pub version: Option<Version>,
}

/// Not a package's name or version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a package in a scope: @scope/name or @scope/name@1.2.3")]
pub struct InvalidName;

impl FromStr for PackageName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (scope, name) = text.strip_prefix('@').and_then(|rest| rest.split_once('/')).ok_or(InvalidName)?;
        let valid = |part: &str| {
            part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
                && part.starts_with(|first: char| first.is_ascii_alphanumeric())
        };
        if text.len() > MAX_NAME || !valid(scope) || !valid(name) {
            return Err(InvalidName);
        }
        Ok(Self { scope: scope.to_owned(), name: name.to_owned() })
    }
}

impl PackageName {
    /// Its path in a registry's API.
    pub(crate) fn path(&self) -> String {
        format!("@{}%2f{}", self.scope, self.name)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}/{}", self.scope, self.name)
    }
}

impl fmt::Display for PackageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

impl FromStr for PackageSpec {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (name, version) = match text.rsplit_once('@') {
            Some((name, version)) if !name.is_empty() => (name, Some(version)),
            _ => (text, None),
        };
        let version = version.map(|version| version.parse().map_err(|_| InvalidName)).transpose()?;
        Ok(Self { name: name.parse()?, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_in_a_scope_and_may_have_a_version() {
        for (text, name, version) in
            [("@acme/keys", "@acme/keys", None), ("@a-b/c.d_e@1.2.3", "@a-b/c.d_e", Some("1.2.3"))]
        {
            let spec: PackageSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            assert_eq!(
                (spec.name.to_string().as_str(), spec.version.map(|v| v.to_string()).as_deref()),
                (name, version)
            );
        }
        for bad in [
            "",
            "keys",
            "@acme",
            "@acme/",
            "@/keys",
            "acme/keys",
            "@acme/a/b",
            "@acme/../b",
            "@acme/.b",
            "@Acme/b",
            "@acme/b c",
            "@acme/b@latest",
            "@acme/b@",
            "@acme/b?x",
            &format!("@acme/{}", "b".repeat(214)),
        ] {
            assert_eq!(bad.parse::<PackageSpec>(), Err(InvalidName), "{bad}");
        }
    }
}

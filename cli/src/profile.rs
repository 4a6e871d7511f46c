//! Profiles in the files that AWS CLI and SDKs share.
//!
//! Source: AWS SDKs and Tools Reference Guide, shared config and credentials files.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use protocol::Secret;

use crate::{
    AwsCredentials, Error, SecretValue,
    material::{read, replace},
};

/// The largest file that is edited.
const MAX_BYTES: usize = 1024 * 1024;

/// A profile's name: 1 to 64 of letters, digits and `_.@+-/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile(String);

/// What a profile gives access by.
#[derive(Debug)]
pub struct AccessKey {
    id: String,
    secret: Secret<String>,
    session_token: Option<Secret<String>>,
}

/// Not a profile's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a profile's name: 1 to 64 of letters, digits and _.@+-/")]
pub struct InvalidProfile;

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Profile {
    type Err = InvalidProfile;

    fn from_str(text: &str) -> Result<Self, InvalidProfile> {
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.@+-/".contains(&byte));
        if valid && (1..=64).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(InvalidProfile) }
    }
}

impl AccessKey {
    /// Reads a secret of the form `ACCESS_KEY_ID,SECRET_ACCESS_KEY`.
    ///
    /// # Errors
    /// [`Error::NotAnAccessKey`].
    pub fn from_secret(value: &SecretValue) -> Result<Self, Error> {
        let text = str::from_utf8(value.expose()).map_err(|_| Error::NotAnAccessKey)?;
        let (id, secret) = text.trim().split_once(',').ok_or(Error::NotAnAccessKey)?;
        Self::new(id.to_owned(), Secret::new(secret.to_owned()), None)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) const fn secret(&self) -> &Secret<String> {
        &self.secret
    }

    /// Every part is one word: what stood on a line of its own in a profile could name a program to run.
    fn new(id: String, secret: Secret<String>, session_token: Option<Secret<String>>) -> Result<Self, Error> {
        let valid = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        let token = session_token.as_ref().map(Secret::expose);
        if valid(&id) && valid(secret.expose()) && token.is_none_or(|token| valid(token)) {
            Ok(Self { id, secret, session_token })
        } else {
            Err(Error::NotAnAccessKey)
        }
    }
}

impl TryFrom<AwsCredentials> for AccessKey {
    type Error = Error;

    /// # Errors
    /// [`Error::NotAnAccessKey`] where what the broker gave is none.
    fn try_from(credentials: AwsCredentials) -> Result<Self, Error> {
        Self::new(credentials.access_key_id, credentials.secret_access_key, Some(credentials.session_token))
    }
}

impl Profile {
    /// Writes the access key into the profile, and the region where one is given. Everything else in the files stays.
    ///
    /// The files are those that `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` name, by default in `~/.aws`; they
    /// get mode 0600. Not checked: whether another program edits them at the same moment.
    ///
    /// # Errors
    /// [`Error::NoHome`], [`Error::File`], [`Error::Damaged`] where a file is not text.
    pub fn write(&self, key: &AccessKey, region: Option<&str>) -> Result<PathBuf, Error> {
        let Self(name) = self;
        let path = shared_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let session_token = key.session_token.as_ref().map(|token| token.expose().as_str());
        let settings = [
            ("aws_access_key_id", Some(key.id.as_str())),
            ("aws_secret_access_key", Some(key.secret.expose().as_str())),
            ("aws_session_token", session_token),
        ];
        edit(&path, name, &settings)?;
        if region.is_some() {
            let section = if name == "default" { name.clone() } else { format!("profile {name}") };
            edit(&shared_file("AWS_CONFIG_FILE", "config")?, &section, &[("region", region)])?;
        }
        Ok(path)
    }
}

fn shared_file(variable: &str, name: &str) -> Result<PathBuf, Error> {
    let setting = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    setting(variable).or_else(|| Some(setting("HOME")?.join(".aws").join(name))).ok_or(Error::NoHome)
}

fn edit(path: &Path, section: &str, settings: &[(&str, Option<&str>)]) -> Result<(), Error> {
    // A link's place is kept.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let old = if path.exists() { read(&path, MAX_BYTES, None)? } else { Secret::new(Vec::new()) };
    let text = str::from_utf8(old.expose());
    let text = text.map_err(|_| Error::Damaged { path: path.clone(), reason: "not text" })?;
    replace(&path, Secret::new(with(text, section, settings)).expose().as_bytes())
}

/// The text with these settings in its section, each once or, where there is no value, not at all.
fn with(text: &str, section: &str, settings: &[(&str, Option<&str>)]) -> String {
    let header = |line: &str| {
        let inner = line.trim().strip_prefix('[')?.split_once(']')?.0;
        Some(inner.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut lines: Vec<String> = Vec::new();
    let (mut inside, mut place) = (false, None);
    for line in text.lines() {
        if let Some(found) = header(line) {
            inside = found == section;
            lines.push(line.to_owned());
            if inside {
                place = place.or(Some(lines.len()));
            }
        } else {
            // What is indented belongs to the setting above it.
            let name = line.split_once('=').map(|(name, _)| name.trim_end().to_ascii_lowercase());
            let replaced = inside && settings.iter().any(|(known, _)| name.as_deref() == Some(*known));
            if !replaced {
                lines.push(line.to_owned());
            }
        }
    }
    let place = place.unwrap_or_else(|| {
        if lines.last().is_some_and(|last| !last.trim().is_empty()) {
            lines.push(String::new());
        }
        lines.push(format!("[{section}]"));
        lines.len()
    });
    let settings = settings.iter().filter_map(|(name, value)| Some(format!("{name} = {}", (*value)?)));
    lines.splice(place..place, settings);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: [(&str, Option<&str>); 3] =
        [("aws_access_key_id", Some("AKIANEW")), ("aws_secret_access_key", Some("new")), ("aws_session_token", None)];
    const WRITTEN: &str = "aws_access_key_id = AKIANEW\naws_secret_access_key = new\n";

    #[test]
    fn a_profile_is_added_to_what_is_there() {
        assert_eq!(with("", "p", &NEW), format!("[p]\n{WRITTEN}"));
        let other = "# mine\n[other]\naws_access_key_id = AKIAOTHER\n";
        assert_eq!(with(other, "p", &NEW), format!("{other}\n[p]\n{WRITTEN}"));
    }

    #[test]
    fn a_profile_is_replaced_and_its_neighbours_stay() {
        let old = "[other]\naws_access_key_id = AKIAOTHER\n\n[ p ]\nregion = eu-west-1\nAWS_ACCESS_KEY_ID=AKIAOLD\n\
                   aws_secret_access_key = old\naws_session_token = old\ns3 =\n  aws_session_token = nested\n\n[q]\n\
                   aws_session_token = q\n";
        let new = format!(
            "[other]\naws_access_key_id = AKIAOTHER\n\n[ p ]\n{WRITTEN}region = eu-west-1\ns3 =\n  aws_session_token = \
             nested\n\n[q]\naws_session_token = q\n"
        );
        assert_eq!(with(old, "p", &NEW), new);
        assert_eq!(with(&new, "p", &NEW), new, "writing it again changes nothing");
    }

    #[test]
    fn an_access_key_is_two_parts_with_a_comma() {
        let read = |text: &str| AccessKey::from_secret(&SecretValue::Text(Secret::new(text.into())));
        let key = read("AKIAEXAMPLE,abc/def+ghi=\n").unwrap();
        assert_eq!((key.id.as_str(), key.secret.expose().as_str()), ("AKIAEXAMPLE", "abc/def+ghi="));
        for bad in ["", ",", "AKIAEXAMPLE", "AKIAEXAMPLE,", ",secret", "a,b,c", "a,b\n[c]", "a b,c"] {
            assert!(matches!(read(bad), Err(Error::NotAnAccessKey)), "{bad}");
        }
    }

    #[test]
    fn a_brokers_credentials_can_not_add_lines() {
        let credentials = |token: &str| AwsCredentials {
            role: "deploy".into(),
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: Secret::new("secret".into()),
            session_token: Secret::new(token.into()),
            expires_at: 0,
        };
        assert!(AccessKey::try_from(credentials("IQoJb3JpZ2luX2VjE//==")).is_ok());
        for bad in ["", "x\n[default]\ncredential_process = /bin/true", "x y", "x\r"] {
            assert!(matches!(AccessKey::try_from(credentials(bad)), Err(Error::NotAnAccessKey)), "{bad}");
        }
    }

    #[test]
    fn a_profiles_name_can_not_leave_its_line() {
        for bad in ["", "a]", "a\nb", "a b", &"a".repeat(65)] {
            assert_eq!(bad.parse::<Profile>(), Err(InvalidProfile), "{bad}");
        }
        assert!("team/prod-1@x.y".parse::<Profile>().is_ok());
    }
}

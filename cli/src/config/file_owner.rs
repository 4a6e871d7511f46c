use std::{fmt, str::FromStr};

/// Whom a file belongs to: `USER`, `USER:GROUP` or `:GROUP`, each a name or a number.
///
/// Not checked here: whether there is such a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOwner {
    /// The user.
    pub user: Option<String>,
    /// The group.
    pub group: Option<String>,
}

/// Not an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an owner: USER, USER:GROUP or :GROUP")]
pub struct InvalidFileOwner;

impl fmt::Display for FileOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.user.as_deref().unwrap_or_default())?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ":{group}"))
    }
}

impl FromStr for FileOwner {
    type Err = InvalidFileOwner;

    fn from_str(text: &str) -> Result<Self, InvalidFileOwner> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let valid = |name: &str| !name.is_empty() && !name.bytes().any(|byte| b": \t\n/".contains(&byte));
        let user = Some(user).filter(|user| !user.is_empty() || group.is_none());
        if user.is_none_or(valid) && group.is_none_or(valid) {
            Ok(Self { user: user.map(str::to_owned), group: group.map(str::to_owned) })
        } else {
            Err(InvalidFileOwner)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_users_and_groups() {
        for text in ["app", "app:app", ":app", "1000:1000"] {
            assert_eq!(text.parse::<FileOwner>().unwrap().to_string(), text);
        }
        for bad in ["", ":", "app:", "a b", "a:b:c", "../x"] {
            assert_eq!(bad.parse::<FileOwner>(), Err(InvalidFileOwner), "{bad}");
        }
    }
}

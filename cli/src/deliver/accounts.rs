use std::{fs, io::ErrorKind, path::Path};

use rustix::fs::{Gid, Uid};

use crate::{config::FileOwner, deliver::DeliveryError, new_file::Ownership};

/// The users and groups of this machine, as `passwd` and `group` list them. Other sources (LDAP, systemd) are not asked: a static
/// binary loads no modules.
pub(crate) struct Accounts {
    users: Vec<u8>,
    groups: Vec<u8>,
}

impl Accounts {
    /// Reads `passwd` and `group` of this folder, `/etc`. A missing file lists nobody.
    ///
    /// # Errors
    /// [`DeliveryError::Accounts`].
    pub(crate) fn read(folder: &Path) -> Result<Self, DeliveryError> {
        let list = |name| {
            let path = folder.join(name);
            match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                read => read.map_err(|source| DeliveryError::Accounts { path, source }),
            }
        };
        Ok(Self { users: list("passwd")?, groups: list("group")? })
    }

    /// Who that is. What is no name here and a number is that number. A group that is not named is this process's.
    ///
    /// # Errors
    /// [`DeliveryError::UnknownUser`], [`DeliveryError::UnknownGroup`].
    pub(crate) fn resolve(&self, owner: &FileOwner) -> Result<Ownership, DeliveryError> {
        let id = |list: &[u8], name: &str| listed(list, name).or_else(|| number(name));
        let user = owner.user.as_ref().map(|name| {
            let id = id(&self.users, name).ok_or_else(|| DeliveryError::UnknownUser { name: name.clone() })?;
            Ok::<_, DeliveryError>(Uid::from_raw(id))
        });
        let group = owner.group.as_ref().map(|name| {
            let id = id(&self.groups, name).ok_or_else(|| DeliveryError::UnknownGroup { name: name.clone() })?;
            Ok::<_, DeliveryError>(Gid::from_raw(id))
        });
        Ok(Ownership { user: user.transpose()?, group: group.transpose()? })
    }
}

/// The third field of the line that begins with the name. In both files it is the number.
fn listed(list: &[u8], name: &str) -> Option<u32> {
    let fields = |line: &[u8]| -> Option<u32> {
        let mut fields = line.split(|byte| *byte == b':');
        let named = fields.next()? == name.as_bytes();
        let id = fields.nth(1)?;
        if named { number(str::from_utf8(id).ok()?) } else { None }
    };
    list.split(|byte| *byte == b'\n').find_map(fields)
}

/// The largest number says "leave it" to the kernel, and is nobody's.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed;

    fn accounts() -> Accounts {
        Accounts {
            users: b"root:x:0:0:root:/root:/bin/sh\n# no user\napp:x:1000:1001:\xff:/:/bin/false\n\
                     42:x:7:7::/:\nbroken:x\nall:x:4294967295:1::/:\n"
                .to_vec(),
            groups: b"root:x:0:\nstaff:x:50:app,root\napp:x:1001:".to_vec(),
        }
    }

    #[test]
    fn names_are_those_of_the_lists_and_numbers_are_themselves() {
        let ids = |text: &str| {
            let found = accounts().resolve(&text.parse().unwrap()).unwrap();
            (found.user.map(Uid::as_raw), found.group.map(Gid::as_raw))
        };
        assert_eq!(ids("app"), (Some(1000), None));
        assert_eq!(ids("app:staff"), (Some(1000), Some(50)));
        assert_eq!(ids(":app"), (None, Some(1001)));
        assert_eq!(ids("1234:5678"), (Some(1234), Some(5678)));
        assert_eq!(ids("42:42"), (Some(7), Some(42)), "a name that is a number is a name");
    }

    #[test]
    fn who_is_not_listed_is_an_error_that_names_him() {
        for (owner, message) in [
            ("nobody-here", "there is no user nobody-here"),
            ("broken", "there is no user broken"),
            ("all", "there is no user all"),
            ("4294967295", "there is no user 4294967295"),
            ("app:x", "there is no group x"),
        ] {
            let error = accounts().resolve(&owner.parse().unwrap()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (message, 2), "{owner}");
        }
    }

    #[test]
    fn a_machine_without_lists_has_numbers() {
        let folder = closed::folder();
        let accounts = Accounts::read(folder.path()).unwrap();
        assert!(accounts.resolve(&"0:0".parse().unwrap()).is_ok());
        assert!(accounts.resolve(&"root".parse().unwrap()).is_err());
    }
}

//! Who runs a server. PostgreSQL refuses to be root, so root hands folder and process to an account that may do
//! nothing else; everybody else runs servers as themselves.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::Error;

const USERS: &str = "/etc/passwd";
/// The first of these that exists is taken.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// An account that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    user: u32,
    group: u32,
}

/// The account that servers run as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(Option<Ids>);

impl Account {
    /// Our own, or an unprivileged one when we are root.
    pub(crate) fn choose() -> Result<Self, Error> {
        if !is_root() {
            return Ok(Self(None));
        }
        let users = fs::read_to_string(USERS).map_err(|source| Error::File {
            doing: "could not read",
            path: USERS.into(),
            source,
        })?;
        NAMES.iter().find_map(|name| ids(&users, name)).map(|ids| Self(Some(ids))).ok_or(Error::NoAccount)
    }

    /// Make the account the owner of a file or folder.
    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        let Some(Ids { user, group }) = self.0 else { return Ok(()) };
        chown(path, Some(user), Some(group)).map_err(|source| Error::File {
            doing: "could not hand over",
            path: path.into(),
            source,
        })
    }

    /// Let the account run the command, without any other group of ours.
    pub(crate) fn run(self, command: &mut Command) {
        if let Some(Ids { user, group }) = self.0 {
            command.uid(user).gid(group);
        }
    }
}

/// Whether we may do everything on this machine.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The ids of a user in the text of `/etc/passwd`: `name:password:user:group:…`.
fn ids(users: &str, name: &str) -> Option<Ids> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let (user, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (user != 0).then_some(Ids { user, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_found_by_the_whole_name_and_never_root() {
        let users = "root:x:0:0::/:/bin/sh\npostgres2:x:7:7:::\npostgres:x:101:104:a:b:c\nodd:x::1\n";
        assert_eq!(ids(users, "postgres"), Some(Ids { user: 101, group: 104 }));
        assert_eq!(ids(users, "nobody"), None);
        assert_eq!(ids(users, "root"), None);
        assert_eq!(ids(users, "odd"), None);
    }
}

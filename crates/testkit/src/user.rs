//! Who runs something.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub uid: u32,
    /// The id of the user's own group.
    pub gid: u32,
}

/// Used where `cargo xtask test` has not made a user; it has no name and no subordinate ids.
const NAMELESS: User = User {
    uid: 12345,
    gid: 12345,
};

impl User {
    /// Who runs the test.
    pub fn current() -> Self {
        Self {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        }
    }

    /// An ordinary user without subordinate ids: whoever runs the test, or, if that is root, the user that
    /// `BAILIWICK_TEST_USER` names, or a nameless one.
    pub fn ordinary() -> Self {
        if !Self::current().is_root() {
            return Self::current();
        }
        Self::from_variable("BAILIWICK_TEST_USER").unwrap_or(NAMELESS)
    }

    /// An ordinary user with 65 536 subordinate ids, where `BAILIWICK_TEST_SUBID_USER` names one.
    pub fn with_subordinate_ids() -> Option<Self> {
        Self::from_variable("BAILIWICK_TEST_SUBID_USER")
    }

    /// The user of that name in /etc/passwd.
    pub fn named(name: &str) -> Option<Self> {
        let table = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
        let line = table
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|line| line.first() == Some(&name))?;
        Some(Self {
            uid: line.get(2)?.parse().ok()?,
            gid: line.get(3)?.parse().ok()?,
        })
    }

    /// Whether /etc/subuid names it, and `newuidmap` is there to hand such ids out.
    pub fn has_subordinate_ids(self) -> bool {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let lines = read("/etc/subuid");
        let owners: Vec<_> = lines
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        let own = |owner: &str| {
            owner == self.uid.to_string()
                || Self::named(owner).is_some_and(|user| user.uid == self.uid)
        };
        Path::new("/usr/bin/newuidmap").exists() && owners.into_iter().any(own)
    }

    /// Whether it is uid 0.
    pub fn is_root(self) -> bool {
        self.uid == 0
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what the test runner says is not the product's environment"
    )]
    fn from_variable(variable: &str) -> Option<Self> {
        let name = std::env::var(variable).ok()?;
        Some(
            Self::named(&name)
                .unwrap_or_else(|| panic!("{variable} names {name}, who is not in /etc/passwd")),
        )
    }

    /// Gives the user a file or directory; nothing happens when the user is the one who runs the test.
    pub(crate) fn own(self, path: &Path) {
        if self != Self::current() {
            chown(path, Some(self.uid), Some(self.gid))
                .unwrap_or_else(|e| panic!("cannot chown {}: {e}", path.display()));
        }
    }
}

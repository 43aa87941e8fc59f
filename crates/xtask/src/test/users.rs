//! The ordinary users that tests drop to when they run as root.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::shell::Program;

/// Has no line in /etc/subuid and /etc/subgid: the hardest case for a sandbox without root.
pub(crate) const PLAIN: &str = "bailiwick-test";
/// Has 65 536 subordinate ids.
pub(crate) const WITH_SUBIDS: &str = "bailiwick-subid";

/// Ids that one user gets, as many as Debian's `useradd` gives.
const SUBIDS: u32 = 65_536;
/// Where Debian's `useradd` begins, unless login.defs says otherwise.
const FIRST_SUBID: u32 = 100_000;

/// Makes both users, unless they exist; checks that each has the subordinate ids that it is for.
pub(crate) fn create() -> Result<()> {
    for name in [PLAIN, WITH_SUBIDS] {
        if !Program::new("id").args([name]).succeeds() {
            // Without the two settings useradd hands out ids wherever /etc/subuid exists.
            let none = ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"];
            Program::new("useradd")
                .args(["--create-home", "--shell", "/bin/bash"])
                .args(none)
                .args([name])
                .run()?;
        }
    }
    for (file, option) in [
        ("/etc/subuid", "--add-subuids"),
        ("/etc/subgid", "--add-subgids"),
    ] {
        let table = read(Path::new(file))?;
        ensure!(
            !has_line(&table, PLAIN),
            "{file} has a line for {PLAIN}, which is to have none: remove it"
        );
        if !has_line(&table, WITH_SUBIDS) {
            let start = first_free(&table);
            let range = format!("{start}-{}", start + SUBIDS - 1);
            Program::new("usermod")
                .args([option, &range, WITH_SUBIDS])
                .run()?;
        }
    }
    Ok(())
}

/// usermod refuses to add to a table that does not exist.
fn read(file: &Path) -> Result<String> {
    let text = || {
        File::options().append(true).create(true).open(file)?;
        fs::read_to_string(file)
    };
    text().with_context(|| format!("cannot read {}", file.display()))
}

fn has_line(table: &str, user: &str) -> bool {
    table
        .lines()
        .any(|line| line.split(':').next() == Some(user))
}

/// The first id above every range of the table (subuid(5): `user:start:count`).
fn first_free(table: &str) -> u32 {
    let end = |line: &str| {
        let mut numbers = line.split(':').skip(1).map(str::parse::<u32>);
        Some(numbers.next()?.ok()?.saturating_add(numbers.next()?.ok()?))
    };
    table
        .lines()
        .filter_map(end)
        .max()
        .unwrap_or(0)
        .max(FIRST_SUBID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ranges_lie_above_all_others() {
        assert_eq!(first_free(""), 100_000);
        assert_eq!(first_free("a:100000:65536\nb:300000:10\n"), 300_010);
        assert_eq!(first_free("broken\n"), 100_000);
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        assert!(has_line("ab:1:2\n", "ab"));
        assert!(!has_line("abc:1:2\n", "ab"));
    }
}

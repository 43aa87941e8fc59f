//! `NAME`, `NAME:ARCHITECTURE`, either with `=VERSION` or `/SUITE` (apt-get(8), install).

use super::PackageSpecProblem as Problem;
use super::spec::Parts;
use crate::PackageManager;

pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    // Tasks, globs and regular expressions of apt-get(8). A `.` makes one too where no package has the name: names have
    // dots, so that is for whoever calls apt-get to switch off (`APT::Cmd::Pattern-Only`).
    if let Some(c) = text.chars().find(|c| matches!(c, '*' | '^' | '[' | ']')) {
        return Err(Problem::Pattern(c));
    }
    // A trailing `+` is left alone: `g++` is a package, and apt looks for the whole text first.
    if text.ends_with('-') {
        return Err(Problem::Removal);
    }
    let (package, version) = match text.find(['=', '/']) {
        Some(at) if text[at..].starts_with('=') => (&text[..at], Some(version(&text[at + 1..])?)),
        Some(at) => {
            suite(&text[at + 1..])?;
            (&text[..at], None)
        }
        None => (text, None),
    };
    let (name, architecture) = match package.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (package, None),
    };
    if name.ends_with('-') {
        return Err(Problem::Removal);
    }
    if !is_name(name) {
        return Err(Problem::Name {
            manager: PackageManager::Apt,
            name: name.to_owned(),
        });
    }
    match architecture.filter(|architecture| !is_architecture(architecture)) {
        Some(other) => Err(Problem::Architecture(other.to_owned())),
        None => Ok(Parts { name, version }),
    }
}

/// Debian Policy 5.6.1.
fn is_name(name: &str) -> bool {
    name.len() >= 2
        && starts_alphanumeric(name)
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}

/// Debian Policy 11.1: names of architectures and their wildcards.
fn is_architecture(text: &str) -> bool {
    starts_alphanumeric(text)
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A release's codename or archive: `bookworm-backports`, `stable`.
fn suite(text: &str) -> Result<(), Problem> {
    let is_suite = starts_alphanumeric(text)
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    if is_suite {
        Ok(())
    } else {
        Err(Problem::Suite(text.to_owned()))
    }
}

/// deb-version(7): `[EPOCH:]UPSTREAM[-REVISION]`; Policy 5.6.12 has the upstream part begin with a digit.
fn version(text: &str) -> Result<&str, Problem> {
    if text.is_empty() {
        return Err(Problem::NoVersion('='));
    }
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let is_epoch = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
    let is_upstream = upstream.starts_with(|c: char| c.is_ascii_digit())
        && upstream.bytes().all(|b| b == b'-' || is_of_revision(b));
    let is_revision = !revision.is_empty() && revision.bytes().all(is_of_revision);
    if is_epoch && is_upstream && is_revision {
        Ok(text)
    } else {
        Err(Problem::Version {
            manager: PackageManager::Apt,
            version: text.to_owned(),
        })
    }
}

fn is_of_revision(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'~')
}

fn starts_alphanumeric(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

//! `NAME`, `NAME:VERSION` or `NAME:REQUIREMENT` (`gem help install`).

use super::PackageSpecProblem as Problem;
use super::spec::Parts;
use crate::PackageManager;

/// `Gem::Requirement::OPS`, longer ones first.
const OPERATORS: &[&str] = &["!=", "<=", ">=", "~>", "=", "<", ">"];

pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    let manager = PackageManager::Gem;
    let (name, version) = match text.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if text.contains('/') {
        return Err(Problem::Slash(manager));
    }
    if !is_name(name) {
        let name = name.to_owned();
        return Err(Problem::Name { manager, name });
    }
    if is_file(name) || is_file(text) {
        let ending = ".gem";
        return Err(Problem::Archive { manager, ending });
    }
    match version {
        None => {}
        Some("") => return Err(Problem::NoVersion(':')),
        Some(version) if is_requirement(version) => {}
        Some(version) => {
            let version = version.to_owned();
            return Err(Problem::Version { manager, version });
        }
    }
    Ok(Parts { name, version })
}

/// `Gem::Specification::VALID_NAME_PATTERN`; rubygems.org wants a letter in it and none of `.`, `-` and `_` in front.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.contains(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// `gem install` reads such a file where there is one.
fn is_file(text: &str) -> bool {
    text.to_ascii_lowercase().ends_with(".gem")
}

/// `Gem::Requirement::PATTERN`: at most one operator, then a version.
fn is_requirement(text: &str) -> bool {
    let version = OPERATORS
        .iter()
        .find_map(|operator| text.strip_prefix(operator))
        .unwrap_or(text);
    is_version(version)
}

/// `Gem::Version::VERSION_PATTERN`: `7.1.0`, `7.1.0.rc1`, `1.0-java`.
fn is_version(text: &str) -> bool {
    let (release, pre) = match text.split_once('-') {
        Some((release, pre)) => (release, Some(pre)),
        None => (text, None),
    };
    let mut segments = release.split('.');
    let major = segments.next().unwrap_or_default();
    !major.is_empty()
        && major.bytes().all(|b| b.is_ascii_digit())
        && segments.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
        && pre.is_none_or(|pre| {
            pre.split('.').all(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
        })
}

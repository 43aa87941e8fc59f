//! `NAME`, `NAME@VERSION` or `NAME@REQUIREMENT` (cargo-install(1), `--version`).

use super::PackageSpecProblem as Problem;
use super::semver::{is_full, is_partial};
use super::spec::Parts;
use crate::PackageManager;

/// The most characters of a crate's name on crates.io.
const NAME_CHARS: usize = 64;

/// Longer ones first.
const OPERATORS: &[&str] = &["<=", ">=", "<", ">", "=", "~", "^"];

pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    let manager = PackageManager::Cargo;
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if let Some((scheme, _)) = name.split_once(':') {
        let scheme = format!("{scheme}:");
        return Err(Problem::Source { manager, scheme });
    }
    if name.contains('/') {
        return Err(Problem::Slash(manager));
    }
    if !is_name(name) {
        let name = name.to_owned();
        return Err(Problem::Name { manager, name });
    }
    match version {
        None => {}
        Some("") => return Err(Problem::NoVersion('@')),
        Some(version) if is_full(version) || is_requirement(version) => {}
        Some(version) if is_partial(version) && !version.starts_with(['x', 'X']) => {
            return Err(Problem::PartialVersion(version.to_owned()));
        }
        Some(version) => {
            let version = version.to_owned();
            return Err(Problem::Version { manager, version });
        }
    }
    Ok(Parts { name, version })
}

/// What crates.io takes as the name of a new crate.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Comparators joined with commas. `cargo install` takes a text for a requirement that begins with an operator or holds
/// `*`; only the comparators after the first may then be bare.
fn is_requirement(text: &str) -> bool {
    let is_one = text.starts_with(['<', '>', '=', '~', '^']) || text.contains('*');
    let is_comparator = |comparator: &str| {
        let version = OPERATORS
            .iter()
            .find_map(|operator| comparator.strip_prefix(operator));
        match version {
            Some(version) => is_partial(version) && !version.starts_with(['*', 'x', 'X']),
            None => is_partial(comparator),
        }
    };
    let is_anything = |comparator: &str| matches!(comparator, "*" | "x" | "X");
    is_one
        && (text == "*"
            || text
                .split(',')
                .all(|comparator| is_comparator(comparator) && !is_anything(comparator)))
}

//! `NAME`, `@SCOPE/NAME`, either with `@VERSION`, `@RANGE` or `@TAG` (`npm help install`, npm-package-arg).

use super::PackageSpecProblem as Problem;
use super::semver::is_partial;
use super::spec::Parts;
use crate::PackageManager;

/// validate-npm-package-name.
const NAME_CHARS: usize = 214;

/// What npm-package-arg takes for a file, whatever stands before it.
const FILES: &[&str] = &[".tgz", ".tar.gz", ".tar"];

/// Longer ones first.
const OPERATORS: &[&str] = &["<=", ">=", "~>", "<", ">", "=", "~", "^"];

pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    let manager = PackageManager::Npm;
    // The `@` of a scope is the first character, so a second one parts name and version.
    let at = text.char_indices().skip(1).find(|(_, c)| *c == '@');
    let (name, version) = match at {
        Some((at, _)) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    refuse_other_sources(text, name, version)?;
    if !is_name(name) {
        let name = name.to_owned();
        return Err(Problem::Name { manager, name });
    }
    match version {
        None => {}
        Some("") => return Err(Problem::NoVersion('@')),
        Some(version) if is_tag(version) || is_range(version) => {}
        Some(version) => {
            let version = version.to_owned();
            return Err(Problem::Version { manager, version });
        }
    }
    Ok(Parts { name, version })
}

/// Aliases, repositories, folders and archives: everything that npm installs without asking its registry for the name.
fn refuse_other_sources(text: &str, name: &str, version: Option<&str>) -> Result<(), Problem> {
    let manager = PackageManager::Npm;
    if let Some((before, _)) = text.split_once(':') {
        let scheme = before.rsplit('@').next().unwrap_or(before);
        let scheme = format!("{scheme}:");
        return Err(Problem::Source { manager, scheme });
    }
    let after_scope = name
        .strip_prefix('@')
        .and_then(|scoped| scoped.split_once('/'))
        .map_or(name, |(_, name)| name);
    if after_scope.contains('/') || version.is_some_and(|version| version.contains('/')) {
        return Err(Problem::Slash(manager));
    }
    let lower = [name, text].map(str::to_ascii_lowercase);
    let ending = FILES
        .iter()
        .find(|ending| lower.iter().any(|text| text.ends_with(*ending)));
    match ending {
        Some(ending) => Err(Problem::Archive { manager, ending }),
        None => Ok(()),
    }
}

/// validate-npm-package-name, for old packages: capitals are taken (`JSONStream`). Of what it takes besides, `~`, `!`,
/// `'`, `(`, `)` and `*` are refused.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let is_reserved = ["node_modules", "favicon.ico"]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved));
    let has_form = match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| {
            is_part(scope) && is_part(name) && !scope.starts_with('.') && !name.starts_with('.')
        }),
        None => is_part(name) && name.starts_with(|c: char| c.is_ascii_alphanumeric()),
    };
    has_form && !is_reserved && name.len() <= NAME_CHARS
}

/// A tag, or a version, or a range without an operator: npm tells them apart.
fn is_tag(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// One comparator of node-semver: two of them would need a space between.
fn is_range(version: &str) -> bool {
    let partial = OPERATORS
        .iter()
        .find_map(|operator| version.strip_prefix(operator))
        .unwrap_or(version);
    is_partial(partial.strip_prefix('v').unwrap_or(partial))
}

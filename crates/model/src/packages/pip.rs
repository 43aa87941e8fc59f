//! `NAME`, `NAME[EXTRA,...]`, either with version specifiers (PEP 508 without URLs and markers, PEP 440).

mod version;

use super::PackageSpecProblem as Problem;
use super::spec::Parts;
use crate::PackageManager;

/// What pip takes for a file (`pip/_internal/utils/filetypes.py`).
const FILES: &[&str] = &[
    ".whl",
    ".zip",
    ".tar.gz",
    ".tgz",
    ".tar",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
];

pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    let manager = PackageManager::Pip;
    if let Some((scheme, _)) = text.split_once(':') {
        let scheme = format!("{scheme}:");
        return Err(Problem::Source { manager, scheme });
    }
    if text.contains('/') {
        return Err(Problem::Slash(manager));
    }
    let end_of_name = text
        .find(['[', '<', '>', '=', '!', '~'])
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end_of_name);
    if !is_identifier(name) {
        let name = name.to_owned();
        return Err(Problem::Name { manager, name });
    }
    let specifiers = extras(rest)?;
    for part in [name, text] {
        refuse_file(part)?;
    }
    if !specifiers.is_empty() && !specifiers.split(',').all(version::is_specifier) {
        let version = specifiers.to_owned();
        return Err(Problem::Version { manager, version });
    }
    Ok(Parts {
        name,
        version: Some(specifiers).filter(|specifiers| !specifiers.is_empty()),
    })
}

/// Takes `[one,two]` from the front of what follows a name.
fn extras(rest: &str) -> Result<&str, Problem> {
    let Some(list) = rest.strip_prefix('[') else {
        return Ok(rest);
    };
    let Some((list, rest)) = list.split_once(']') else {
        return Err(Problem::Extra(list.to_owned()));
    };
    match list.split(',').find(|extra| !is_identifier(extra)) {
        Some(extra) => Err(Problem::Extra(extra.to_owned())),
        None => Ok(rest),
    }
}

/// pip looks for such a file before it reads a requirement; with extras, by what stands before them.
fn refuse_file(text: &str) -> Result<(), Problem> {
    let lower = text.to_ascii_lowercase();
    match FILES.iter().find(|ending| lower.ends_with(*ending)) {
        Some(ending) => Err(Problem::Archive {
            manager: PackageManager::Pip,
            ending,
        }),
        None => Ok(()),
    }
}

/// PEP 508, `identifier`: names and extras.
fn is_identifier(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(ends)
        && text.ends_with(ends)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

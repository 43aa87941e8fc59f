//! `PATH` or `PATH@VERSION`, the path of a program's package (`go help install`, `golang.org/x/mod/module`).

use super::PackageSpecProblem as Problem;
use super::spec::Parts;
use crate::PackageManager;

pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    let manager = PackageManager::Go;
    let (path, version) = match text.split_once('@') {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    if path.is_empty() {
        let name = path.to_owned();
        return Err(Problem::Name { manager, name });
    }
    let mut elements = path.split('/');
    let host = elements.next().unwrap_or_default();
    if !is_host(host) {
        return Err(Problem::GoHost(host.to_owned()));
    }
    if let Some(element) = elements.find(|element| !is_element(element)) {
        return Err(Problem::GoElement((*element).to_owned()));
    }
    match version {
        None => {}
        Some("") => return Err(Problem::NoVersion('@')),
        Some(version) if is_version(version) => {}
        Some(version) => {
            let version = version.to_owned();
            return Err(Problem::Version { manager, version });
        }
    }
    Ok(Parts {
        name: path,
        version,
    })
}

/// The first element in `module.CheckPath`: a dot in it, lower case, no `-` in front. The patterns `all`, `std` and
/// `cmd` of `go help packages` are none.
fn is_host(host: &str) -> bool {
    host.contains('.')
        && is_element(host)
        && host
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// An element in `module.CheckImportPath`, with the rule of module paths that none begins with a dot.
fn is_element(element: &str) -> bool {
    let is_of_path =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+');
    !element.is_empty()
        && !element.starts_with(['-', '.'])
        && !element.ends_with('.')
        && element.bytes().all(is_of_path)
}

/// A version or revision of `go help module-queries` that pins: a tag or its prefix, a branch, a commit, `latest`.
fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'))
}

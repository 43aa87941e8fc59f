//! How each package manager installs: a fixed script per manager, which gets the specs as arguments and never as text.

use std::ffi::OsString;

use bailiwick_model::PackageManager;

use crate::store::ResolvedPackage;

/// Part of every layer's key. A change of any recipe that changes what it installs takes another number.
pub(crate) const VERSION: u32 = 1;

/// Where a recipe says what it installed, inside.
pub(crate) const REPORT: &str = "/tmp/bailiwick-report";
/// What a recipe ends with where the base lacks its package manager and cannot get it.
pub(crate) const NO_MANAGER: u8 = 90;

/// The command that installs these specs.
pub(crate) fn command(
    manager: PackageManager,
    specs: impl IntoIterator<Item = impl Into<OsString>>,
) -> Vec<OsString> {
    let script = format!(
        "REPORT={REPORT}\n{}\n{}",
        include_str!("../data/recipes/common.sh"),
        script(manager)
    );
    // sh -c SCRIPT NAME ARGUMENTS (sh(1)): what an environment says is never read as a script.
    let fixed = ["sh", "-c", &script, manager.name()].map(OsString::from);
    fixed
        .into_iter()
        .chain(specs.into_iter().map(Into::into))
        .collect()
}

/// A script of these parts, which tells its result in [`REPORT`].
pub(crate) fn script_of(parts: &[&str]) -> String {
    format!("REPORT={REPORT}\n{}", parts.join("\n"))
}

fn script(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => include_str!("../data/recipes/apt.sh"),
        PackageManager::Cargo => include_str!("../data/recipes/cargo.sh"),
        PackageManager::Gem => include_str!("../data/recipes/gem.sh"),
        PackageManager::Go => include_str!("../data/recipes/go.sh"),
        PackageManager::Npm => include_str!("../data/recipes/npm.sh"),
        PackageManager::Pip => include_str!("../data/recipes/pip.sh"),
    }
}

/// What a recipe reported: lines of name, version, source and hash, with tabs between.
pub(crate) fn installed(report: &str) -> Vec<ResolvedPackage> {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let mut next = || {
            fields
                .next()
                .filter(|field| !field.is_empty())
                .map(str::to_owned)
        };
        Some(ResolvedPackage {
            name: next()?,
            version: next()?,
            source: next(),
            hash: next(),
        })
    };
    report.lines().filter_map(line).collect()
}

/// Whether a failed build may succeed if it is tried again: the network or a registry failed, not what was asked for.
pub(crate) fn is_transient(log: &str) -> bool {
    const SIGNS: &[&str] = &[
        "Temporary failure in name resolution",
        "Temporary failure resolving",
        "Could not resolve host",
        "Connection timed out",
        "Connection reset by peer",
        "connection reset",
        "timed out",
        "ETIMEDOUT",
        "ECONNRESET",
        "EAI_AGAIN",
        "502 Bad Gateway",
        "503 Service",
        "504 Gateway",
        "429 Too Many Requests",
        "TLS handshake timeout",
        "unexpected EOF",
        "Hash Sum mismatch",
    ];
    SIGNS.iter().any(|sign| log.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_arguments_of_the_script_and_never_part_of_it() {
        for manager in PackageManager::ALL {
            let command = command(*manager, ["$(touch /tmp/x)", "a b"]);
            assert_eq!(command.len(), 6);
            let script = command[2].to_str().unwrap();
            assert!(!script.contains("touch"), "{manager:?}");
            assert_eq!(command[4], "$(touch /tmp/x)");
        }
    }

    #[test]
    fn a_report_is_read_line_by_line() {
        let read = installed("pytest\t8.3.4\thttps://x/y\tsha256:00\ngraphviz\t2.42.2-7\nbroken\n");
        let package =
            |name: &str, version: &str, source: Option<&str>, hash: Option<&str>| ResolvedPackage {
                name: name.into(),
                version: version.into(),
                source: source.map(Into::into),
                hash: hash.map(Into::into),
            };
        assert_eq!(
            read,
            [
                package("pytest", "8.3.4", Some("https://x/y"), Some("sha256:00")),
                package("graphviz", "2.42.2-7", None, None),
            ]
        );
    }
}

//! How each package manager installs: a fixed script per manager, which gets the specs as arguments and never as text.

use std::ffi::OsString;

use bailiwick_model::PackageManager;

use crate::registry::Registry;
use crate::store::ResolvedPackage;

/// Part of every layer's key. A change of any recipe that changes what it installs takes another number.
pub(crate) const VERSION: u32 = 3;

/// Where a recipe says what it installed, inside.
pub const REPORT: &str = "/tmp/bailiwick-report";
/// What a recipe ends with where the base lacks its package manager and cannot get it.
pub(crate) const NO_MANAGER: u8 = 90;

/// The command that installs these specs.
pub(crate) fn command(
    manager: PackageManager,
    specs: impl IntoIterator<Item = impl Into<OsString>>,
) -> Vec<OsString> {
    let script = script_of(&[include_str!("../data/recipes/common.sh"), script(manager)]);
    // sh -c SCRIPT NAME ARGUMENTS (sh(1)): what an environment says is never read as a script.
    let fixed = ["sh", "-c", &script, manager.name()].map(OsString::from);
    fixed
        .into_iter()
        .chain(specs.into_iter().map(Into::into))
        .collect()
}

/// The command that puts a Debian release together in `/base`; `mirror` is asked instead of the public one.
pub(crate) fn debian_base(suite: &str, mirror: Option<&Registry>) -> Vec<OsString> {
    let script = script_of(&[
        include_str!("../data/recipes/common.sh"),
        include_str!("../data/recipes/debian.sh"),
    ]);
    let mirror = mirror.map(ToString::to_string);
    ["sh", "-c", &script, "debian", suite]
        .into_iter()
        .chain(mirror.as_deref())
        .map(OsString::from)
        .collect()
}

/// A script of these parts, which tells its result in [`REPORT`]. All that it prints goes one way, so that a log has it in its order.
pub(crate) fn script_of(parts: &[&str]) -> String {
    format!("exec 2>&1\nREPORT={REPORT}\n{}", parts.join("\n"))
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

/// What a recipe reported: lines of name, version, source, hash and detail (JSON), with tabs between; what is empty at the end of a line may be missing.
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
            detail: next().and_then(|detail| serde_json::from_str(&detail).ok()),
        })
    };
    report.lines().filter_map(line).collect()
}

/// What a recipe reads of a lock: the lines that it would report.
pub(crate) fn locked(packages: &[ResolvedPackage]) -> Vec<u8> {
    let line = |package: &ResolvedPackage| {
        let detail = package
            .detail
            .as_ref()
            .and_then(|detail| serde_json::to_string(detail).ok());
        let fields = [
            Some(package.name.as_str()),
            Some(&package.version),
            package.source.as_deref(),
            package.hash.as_deref(),
            detail.as_deref(),
        ];
        fields.map(Option::unwrap_or_default).join("\t") + "\n"
    };
    packages.iter().map(line).collect::<String>().into_bytes()
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
                detail: None,
            };
        assert_eq!(
            read,
            [
                package("pytest", "8.3.4", Some("https://x/y"), Some("sha256:00")),
                package("graphviz", "2.42.2-7", None, None),
            ]
        );
    }

    #[test]
    fn what_is_read_of_a_lock_is_what_was_reported() {
        let report = concat!(
            "a\t1.0.0\thttps://x/y\tsha512-00\t",
            r#"{"tree":{"at":"node_modules/a","optional":true,"dependencies":{"b":"^1"},"optionalDependencies":{},"os":["linux"]}}"#,
            "\nb\t1.2.3\nc\t1\t\th1:x\t{\"program\":\"c/d\"}\nd\t1\t\t\t{\"unknown\":1}\n"
        );
        let read = installed(report);
        assert_eq!(read.len(), 4);
        assert_eq!(read[3].detail, None, "of another Bailiwick");
        let again = String::from_utf8(locked(&read)).unwrap();
        assert_eq!(installed(&again), read);
    }
}

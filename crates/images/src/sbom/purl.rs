//! Package URLs (the purl specification, and its list of types).

use std::fmt;

use bailiwick_model::PackageManager;

use super::System;
use crate::lock::Detail;
use crate::store::ResolvedPackage;

/// The name of a package in the world: `pkg:npm/%40types/node@20.1.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purl {
    pub(super) kind: &'static str,
    /// What stands between kind and name; its parts are joined with `/`.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) version: String,
    /// In the order of their names.
    pub(super) qualifiers: Vec<(&'static str, String)>,
    /// What CycloneDX has for a group: the scope of npm.
    pub(super) group: Option<String>,
}

impl Purl {
    fn new(kind: &'static str, name: &str, version: &str) -> Self {
        Self {
            kind,
            namespace: None,
            name: name.to_owned(),
            version: version.to_owned(),
            qualifiers: Vec::new(),
            group: None,
        }
    }

    /// Of a package of a layer.
    pub(super) fn of_resolved(
        manager: PackageManager,
        package: &ResolvedPackage,
        system: &System,
    ) -> Self {
        let (name, version) = (&package.name, &package.version);
        match manager {
            PackageManager::Apt => system.purl_of_debian_package(name, version),
            PackageManager::Cargo => Self::new("cargo", name, version),
            PackageManager::Gem => {
                let mut purl = Self::new("gem", name, version);
                if let Some(Detail::Platform(platform)) = &package.detail {
                    purl.qualifiers.push(("platform", platform.clone()));
                }
                purl
            }
            PackageManager::Go => {
                let lower = name.to_lowercase();
                let (namespace, last) = lower.rsplit_once('/').unwrap_or(("", &lower));
                let mut purl = Self::new("golang", last, version);
                purl.namespace = Some(namespace.to_owned()).filter(|text| !text.is_empty());
                purl
            }
            PackageManager::Npm => match name.split_once('/') {
                Some((scope, name)) => Self {
                    namespace: Some(scope.to_owned()),
                    group: Some(scope.to_owned()),
                    ..Self::new("npm", name, version)
                },
                None => Self::new("npm", name, version),
            },
            PackageManager::Pip => Self::new("pypi", &normalized(name), version),
        }
    }

    /// Of a package of a system.
    pub(super) fn of_system(kind: &'static str, system: &str, name: &str, version: &str) -> Self {
        Self {
            namespace: Some(system.to_owned()),
            ..Self::new(kind, name, version)
        }
    }
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for part in self.namespace.iter().flat_map(|text| text.split('/')) {
            write!(f, "{}/", encoded(part))?;
        }
        write!(f, "{}@{}", encoded(&self.name), encoded(&self.version))?;
        for (number, (name, value)) in self.qualifiers.iter().enumerate() {
            let mark = if number == 0 { '?' } else { '&' };
            write!(f, "{mark}{name}={}", encoded(value))?;
        }
        Ok(())
    }
}

/// Percent-encoded, but for letters, digits, `.`, `-`, `_`, `~` and `:`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~' | b':') {
            out.push(char::from(b));
        } else {
            out += &format!("%{b:02X}");
        }
    }
    out
}

/// The name of a Python project as indexes have it (PEP 503).
fn normalized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.to_ascii_lowercase().chars() {
        let c = if matches!(c, '_' | '.') { '-' } else { c };
        if c != '-' || !out.ends_with('-') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_names_that_the_world_gives_them() {
        let system = System::debian("12", "amd64");
        let check = |manager, name: &str, version: &str, detail, expected: &str| {
            let package = ResolvedPackage {
                name: name.into(),
                version: version.into(),
                source: None,
                hash: None,
                detail,
            };
            let purl = Purl::of_resolved(manager, &package, &system);
            assert_eq!(purl.to_string(), expected);
        };
        check(
            PackageManager::Apt,
            "libstdc++6:i386",
            "1:12.2.0-14+deb12u1",
            None,
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=i386&distro=debian-12",
        );
        check(
            PackageManager::Cargo,
            "hyperfine",
            "1.18.0",
            None,
            "pkg:cargo/hyperfine@1.18.0",
        );
        let platform = Some(Detail::Platform("x86_64-linux".into()));
        check(
            PackageManager::Gem,
            "nokogiri",
            "1.16.0",
            platform,
            "pkg:gem/nokogiri@1.16.0?platform=x86_64-linux",
        );
        check(
            PackageManager::Go,
            "github.com/BurntSushi/toml",
            "v1.3.2",
            None,
            "pkg:golang/github.com/burntsushi/toml@v1.3.2",
        );
        check(
            PackageManager::Npm,
            "@types/node",
            "20.1.0",
            None,
            "pkg:npm/%40types/node@20.1.0",
        );
        check(
            PackageManager::Pip,
            "Zope.__Interface",
            "6.0+local",
            None,
            "pkg:pypi/zope-interface@6.0%2Blocal",
        );
    }
}

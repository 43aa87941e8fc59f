//! Whose files a build can make: Debian packages have files of many users.

use bailiwick_model::{PackageManager, PackageSpec, Packages};

use super::BaseSource;

/// As whom a build's files can be owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// As anybody: root builds.
    All,
    /// As several users on a base of the builder's own, by subordinate ids.
    Subordinate,
    /// As the builder alone.
    Own,
}

/// What takes files of several users, and cannot have them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnersProblem {
    /// What is below belongs to root.
    #[error(
        "Debian packages can be installed over this host's programs by root only, to whom these belong: run this as root, give the image a base of its own (--base debian:SUITE or oci:REFERENCE), or install {0} on this host and declare the rest"
    )]
    OverHost(String),
    /// There are no ids to give them.
    #[error(
        "Debian packages have files of several users, which takes subordinate ids: install the package uidmap and give this user some (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER), or run this as root"
    )]
    NoIds,
}

impl Owners {
    /// Whether an image of these packages on this base can be built.
    ///
    /// # Errors
    ///
    /// [`OwnersProblem`]: it has Debian packages, or is a Debian release.
    pub fn suffice_for(self, base: &BaseSource, packages: &Packages) -> Result<(), OwnersProblem> {
        let debian = packages.of(PackageManager::Apt);
        let (is_outside, is_debian) = match base {
            BaseSource::Host | BaseSource::Directory(_) => (true, false),
            BaseSource::Debian(_) => (false, true),
            BaseSource::Archive(_) | BaseSource::Oci(_) => (false, false),
        };
        if debian.is_empty() && !is_debian {
            return Ok(());
        }
        match self {
            Self::All => Ok(()),
            Self::Subordinate | Self::Own if is_outside => {
                let names: Vec<_> = debian.iter().map(PackageSpec::as_str).collect();
                Err(OwnersProblem::OverHost(names.join(", ")))
            }
            Self::Subordinate => Ok(()),
            Self::Own => Err(OwnersProblem::NoIds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_packages_need_several_users_and_a_base_that_belongs_to_the_builder() {
        let mut packages = Packages::default();
        let hello = PackageSpec::parse(PackageManager::Apt, "hello").unwrap();
        packages.add(hello).unwrap();
        let none = Packages::default();
        let over_host = Err(OwnersProblem::OverHost("hello".to_owned()));
        for (owners, base, packages, expected) in [
            (Owners::All, "host", &packages, Ok(())),
            (Owners::Subordinate, "host", &packages, over_host.clone()),
            (Owners::Own, "dir:/srv/root", &packages, over_host),
            (Owners::Subordinate, "oci:debian:12", &packages, Ok(())),
            (
                Owners::Own,
                "oci:debian:12",
                &packages,
                Err(OwnersProblem::NoIds),
            ),
            (
                Owners::Own,
                "debian:bookworm",
                &none,
                Err(OwnersProblem::NoIds),
            ),
            (Owners::Own, "oci:debian:12", &none, Ok(())),
        ] {
            let base = base.parse().unwrap();
            assert_eq!(
                owners.suffice_for(&base, packages),
                expected,
                "{owners:?} {base}"
            );
        }
    }
}

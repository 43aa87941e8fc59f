//! Debian packages that tests and benchmarks use.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{self, Program};

const PACKAGES: &str = include_str!("../../data/debian-packages.txt");

/// invoke-rc.d and deb-systemd-invoke ask this program whether a service may be started; 101 means no.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// What packages are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// `cargo xtask test`.
    Test,
    /// `cargo xtask bench`.
    Bench,
}

/// Installs what is missing; an ordinary user is told the command instead.
pub(crate) fn install(wanted: Use) -> Result<()> {
    if shell::find("dpkg-query").is_none() {
        let names: Vec<_> = packages(PACKAGES, wanted).collect();
        eprintln!(
            "\nnote: not a Debian system; the tests use what these Debian packages hold: {}",
            names.join(" ")
        );
        return Ok(());
    }
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !shell::is_root()? {
        bail!(
            "packages are missing. Either: sudo apt-get install --no-install-recommends {}\n\
             or go on without them: --no-install",
            missing.join(" ")
        );
    }
    let _silence = NoServices::begin()?;
    let apt = || Program::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    apt().args(["--quiet", "update"]).run()?;
    apt()
        .args(["--quiet", "install", "--yes", "--no-install-recommends"])
        .args(missing)
        .run()
}

/// The wanted packages that are not installed, unless a program of the package's name is there from elsewhere: nodejs
/// from its makers brings an npm, and conflicts with Debian's.
pub(crate) fn missing(wanted: Use) -> Result<Vec<&'static str>> {
    let list = Program::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ${Package}\n"])
        .read()?;
    let installed: HashSet<_> = list
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    Ok(packages(PACKAGES, wanted)
        .filter(|name| !installed.contains(name) && shell::find(name).is_none())
        .collect())
}

fn packages(list: &str, wanted: Use) -> impl Iterator<Item = &str> {
    list.lines().filter_map(move |line| {
        let mut words = line
            .split_once('#')
            .map_or(line, |(words, _)| words)
            .split_whitespace();
        let (name, purpose) = (words.next()?, words.next()?);
        let fits = match purpose {
            "both" => true,
            "test" => wanted == Use::Test,
            "bench" => wanted == Use::Bench,
            _ => false,
        };
        fits.then_some(name)
    })
}

/// While it lives, installing a package starts no service: nobody asked for a PostgreSQL or a proxy on this machine.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let file = Path::new(SERVICE_POLICY);
        if file.exists() {
            return Ok(Self { ours: false });
        }
        fs::write(file, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("cannot write {SERVICE_POLICY}"))?;
        let guard = Self { ours: true };
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        Ok(guard)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            // A failure leaves a file that only keeps services from starting on install; there is nobody to tell here.
            let _ = fs::remove_file(SERVICE_POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_names_a_package_its_use_and_a_reason() {
        for line in PACKAGES
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (words, reason) = line
                .split_once('#')
                .unwrap_or_else(|| panic!("no reason: {line}"));
            let words: Vec<_> = words.split_whitespace().collect();
            assert!(
                matches!(words[..], [_, "test" | "bench" | "both"]),
                "{line}"
            );
            assert!(!reason.trim().is_empty(), "{line}");
        }
    }

    #[test]
    fn each_use_gets_its_own_packages_and_the_shared_ones() {
        let list = "# head\na test # x\nb bench # x\nc both # x\n";
        assert_eq!(packages(list, Use::Test).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(packages(list, Use::Bench).collect::<Vec<_>>(), ["b", "c"]);
    }
}

//! Bases: what layers lie on, where they come from, and what identifies their contents.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bailiwick_model::{BaseName, BaseProblem};
use oci_client::{ParseError, Reference};

mod digest;
mod host;
mod memory;
mod names;
pub mod oci;
mod owners;
pub mod unpack;
mod zstd;

pub use digest::archive_digest;
pub(crate) use host::sweep;
pub use host::{HostBase, directory_digest, host_base};
pub use names::Names;
pub use owners::{Owners, OwnersProblem};

/// Where a base comes from, as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BaseSource {
    /// `host`: the userland of this machine.
    #[default]
    Host,
    /// `dir:PATH`: a directory of this machine that holds a root file system.
    Directory(PathBuf),
    /// `tar:PATH`: an archive of one, plain or compressed with gzip or zstd.
    Archive(PathBuf),
    /// `debian:SUITE`: made by mmdebstrap from the packages of a release.
    Debian(String),
    /// `oci:REFERENCE`: an image of a registry (OCI distribution specification).
    Oci(Reference),
}

/// Why a text names no base.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBase {
    /// It has no form of one.
    #[error("the base {0}")]
    Form(#[from] BaseProblem),
    /// Nobody could ask a registry for it.
    #[error("{0:?} names no image: {1}")]
    Reference(String, ParseError),
}

impl FromStr for BaseSource {
    type Err = InvalidBase;

    fn from_str(text: &str) -> Result<Self, InvalidBase> {
        // What `--base` took before it knew kinds.
        if text.contains('/') && !text.contains(':') {
            return Ok(Self::Directory(PathBuf::from(text)));
        }
        text.parse::<BaseName>()?.try_into()
    }
}

impl TryFrom<BaseName> for BaseSource {
    type Error = InvalidBase;

    fn try_from(name: BaseName) -> Result<Self, InvalidBase> {
        Ok(match name {
            BaseName::Host => Self::Host,
            BaseName::Directory(path) => Self::Directory(path),
            BaseName::Archive(path) => Self::Archive(path),
            BaseName::Debian(suite) => Self::Debian(suite.as_str().to_owned()),
            BaseName::Oci(reference) => {
                let text = reference.as_str();
                let parsed = text.parse();
                Self::Oci(parsed.map_err(|error| InvalidBase::Reference(text.to_owned(), error))?)
            }
        })
    }
}

impl fmt::Display for BaseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
            Self::Archive(path) => write!(f, "tar:{}", path.display()),
            Self::Debian(suite) => write!(f, "debian:{suite}"),
            Self::Oci(reference) => write!(f, "oci:{reference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_read_as_it_is_written() {
        for text in [
            "host",
            "dir:/srv/root",
            "tar:root.tar.zst",
            "debian:bookworm",
            "oci:registry.example.com/team/image:1",
        ] {
            assert_eq!(text.parse::<BaseSource>().unwrap().to_string(), text);
        }
        let short: BaseSource = "oci:debian:12".parse().unwrap();
        assert_eq!(short.to_string(), "oci:docker.io/library/debian:12");
        let plain: BaseSource = "./root".parse().unwrap();
        assert_eq!(plain, BaseSource::Directory("./root".into()));
    }

    #[test]
    fn what_could_be_an_option_or_leads_elsewhere_is_no_base() {
        for text in [
            "",
            "hosts",
            "dir:",
            "tar:",
            "debian:--hook",
            "debian:../x",
            "debian:Bookworm",
            "debian:",
            "oci:--x",
            "oci:",
            "oci:a b",
            "vm:x",
        ] {
            assert!(text.parse::<BaseSource>().is_err(), "{text}");
        }
    }
}

//! Bases: what layers lie on, where they come from, and what identifies their contents.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bailiwick_model::limits::SUITE_BYTES;
use oci_client::{ParseError, Reference};

mod digest;
mod host;
mod memory;
mod names;
pub mod oci;
pub mod unpack;
mod zstd;

pub use digest::archive_digest;
pub(crate) use host::sweep;
pub use host::{HostBase, directory_digest, host_base};
pub use names::Names;

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
    /// No such kind.
    #[error("a base is host, dir:PATH, tar:PATH, debian:SUITE or oci:REFERENCE")]
    Kind,
    /// A path is missing.
    #[error("{0}: needs a path behind it")]
    NoPath(&'static str),
    /// It names no release.
    #[error("{0:?} is no name of a Debian release, such as bookworm")]
    Suite(String),
    /// It names no image.
    #[error("{0:?} names no image: {1}")]
    Reference(String, ParseError),
}

impl FromStr for BaseSource {
    type Err = InvalidBase;

    fn from_str(text: &str) -> Result<Self, InvalidBase> {
        let path = |kind, path: &str| match path {
            "" => Err(InvalidBase::NoPath(kind)),
            path => Ok(PathBuf::from(path)),
        };
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            Some(("dir", rest)) => Ok(Self::Directory(path("dir", rest)?)),
            Some(("tar", rest)) => Ok(Self::Archive(path("tar", rest)?)),
            Some(("debian", suite)) if is_suite(suite) => Ok(Self::Debian(suite.to_owned())),
            Some(("debian", suite)) => Err(InvalidBase::Suite(suite.to_owned())),
            Some(("oci", reference)) => match reference.parse() {
                Ok(reference) => Ok(Self::Oci(reference)),
                Err(error) => Err(InvalidBase::Reference(reference.to_owned(), error)),
            },
            // What `--base` took before it knew kinds.
            None | Some(_) if text.contains('/') && !text.contains(':') => {
                Ok(Self::Directory(PathBuf::from(text)))
            }
            None | Some(_) => Err(InvalidBase::Kind),
        }
    }
}

/// A code name or the name of a suite: nothing that could be an option or a path.
fn is_suite(text: &str) -> bool {
    text.len() <= SUITE_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
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

//! What sandboxes stand on, as an environment names it: `host`, `dir:PATH`, `tar:PATH`, `debian:SUITE` or `oci:REFERENCE`.
//!
//! Every part of it becomes an argument or a path of something that makes the base, so each has a plain form.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::limits::{BASE_PATH_BYTES, IMAGE_REFERENCE_BYTES, SUITE_BYTES};

/// What sandboxes stand on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum BaseName {
    /// `host`: the userland of the machine that runs the sandbox.
    #[default]
    Host,
    /// `dir:PATH`: a directory of that machine that holds a root file system.
    Directory(PathBuf),
    /// `tar:PATH`: an archive of one.
    Archive(PathBuf),
    /// `debian:SUITE`: made from the packages of a release.
    Debian(Suite),
    /// `oci:REFERENCE`: an image of a registry.
    Oci(ImageReference),
}

/// A code name or the name of a suite: nothing that could be an option or a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suite(Box<str>);

/// The name of an image: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, in the grammar of the distribution project (its `reference` package).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference(Box<str>);

/// Why a text names no base. The messages are predicates, to be put behind the text's place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseProblem {
    /// No such kind.
    #[error("is none of host, dir:PATH, tar:PATH, debian:SUITE and oci:REFERENCE")]
    Kind,
    /// A path is missing, too long, or holds what no terminal shows.
    #[error(
        "needs a path of at most {BASE_PATH_BYTES} bytes behind `{0}:`, without control characters"
    )]
    Path(&'static str),
    /// It names no release.
    #[error("has {0:?} behind `debian:`, which is no name of a Debian release, such as bookworm")]
    Suite(String),
    /// It names no image.
    #[error(
        "has {0:?} behind `oci:`, which names no image, such as debian:12 or registry.example.com/team/image:1"
    )]
    Reference(String),
}

impl BaseName {
    /// The path on the machine that runs the sandbox, if it names one.
    pub fn host_path(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) | Self::Archive(path) => Some(path),
            Self::Host | Self::Debian(_) | Self::Oci(_) => None,
        }
    }
}

impl FromStr for BaseName {
    type Err = BaseProblem;

    fn from_str(text: &str) -> Result<Self, BaseProblem> {
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            Some(("dir", rest)) => Ok(Self::Directory(path("dir", rest)?)),
            Some(("tar", rest)) => Ok(Self::Archive(path("tar", rest)?)),
            Some(("debian", suite)) => Ok(Self::Debian(suite.parse()?)),
            Some(("oci", reference)) => Ok(Self::Oci(reference.parse()?)),
            None | Some(_) => Err(BaseProblem::Kind),
        }
    }
}

fn path(kind: &'static str, text: &str) -> Result<PathBuf, BaseProblem> {
    let fits = (1..=BASE_PATH_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(PathBuf::from(text))
    } else {
        Err(BaseProblem::Path(kind))
    }
}

impl Suite {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Suite {
    type Err = BaseProblem;

    fn from_str(text: &str) -> Result<Self, BaseProblem> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let fits = text.len() <= SUITE_BYTES
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(inner);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(BaseProblem::Suite(text.to_owned()))
        }
    }
}

impl ImageReference {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageReference {
    type Err = BaseProblem;

    fn from_str(text: &str) -> Result<Self, BaseProblem> {
        if text.len() <= IMAGE_REFERENCE_BYTES && is_reference(text) {
            Ok(Self(text.into()))
        } else {
            Err(BaseProblem::Reference(text.to_owned()))
        }
    }
}

/// `name[:tag][@digest]`.
fn is_reference(text: &str) -> bool {
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash is that of a port.
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (text, None),
    };
    is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

/// A host, if the first component looks like one, and a path.
fn is_name(text: &str) -> bool {
    let path = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            if !is_host(first) {
                return false;
            }
            rest
        }
        Some(_) | None => text,
    };
    path.split('/').all(is_component)
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_port = |port: &str| {
        port.bytes().all(|digit| digit.is_ascii_digit())
            && port.parse().is_ok_and(|port: u16| port > 0)
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lower-case letters and digits, with one `.`, one or two `_`, or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = || text.split(is_word).filter(|between| !between.is_empty());
    let is_separator =
        |between: &str| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-');
    text.starts_with(is_word) && text.ends_with(is_word) && separators().all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&text.len())
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

/// The digests that registries have.
fn is_digest(text: &str) -> bool {
    let digits = match text.split_once(':') {
        Some(("sha256", digits)) if digits.len() == 64 => digits,
        Some(("sha512", digits)) if digits.len() == 128 => digits,
        Some(_) | None => return false,
    };
    digits
        .bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
            Self::Archive(path) => write!(f, "tar:{}", path.display()),
            Self::Debian(suite) => write!(f, "debian:{}", suite.as_str()),
            Self::Oci(reference) => write!(f, "oci:{}", reference.as_str()),
        }
    }
}

impl Serialize for BaseName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
            "oci:debian",
            "oci:debian:12",
            "oci:library/debian:12-slim",
            "oci:registry.example.com/team/my--image__x.y:1",
            "oci:localhost:5000/a/b",
            "oci:localhost/a",
        ] {
            assert_eq!(text.parse::<BaseName>().unwrap().to_string(), text);
        }
        let pinned = format!("oci:debian:12@sha256:{}", "0a".repeat(32));
        assert_eq!(pinned.parse::<BaseName>().unwrap().to_string(), pinned);
    }

    #[test]
    fn what_could_be_an_option_or_leads_elsewhere_is_no_base() {
        for text in [
            "",
            "hosts",
            "Host",
            "/srv/root",
            "dir:",
            "tar:",
            "dir:/a\nb",
            "debian:--hook",
            "debian:../x",
            "debian:Bookworm",
            "debian:",
            "oci:--x",
            "oci:",
            "oci:a b",
            "oci:A",
            "oci:../a",
            "oci:a//b",
            "oci:a/",
            "oci:a:",
            "oci:a@sha256:00",
            "oci:https://registry.example.com/a",
            "oci:user:password@registry.example.com/a",
            "oci:registry.example.com:0/a",
            "oci:registry.example.com:99999/a",
            "oci:-x.example.com/a",
            "vm:x",
        ] {
            assert!(text.parse::<BaseName>().is_err(), "{text}");
        }
        let long = format!("oci:{}", "a".repeat(IMAGE_REFERENCE_BYTES + 1));
        assert!(long.parse::<BaseName>().is_err());
        let fits = format!("dir:/{}", "a".repeat(BASE_PATH_BYTES - 1));
        assert!(fits.parse::<BaseName>().is_ok());
        assert!(format!("{fits}a").parse::<BaseName>().is_err());
    }
}

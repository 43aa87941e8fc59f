//! What names of images stood for when they were last looked up: a tag may be moved, and only a refresh follows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci_client::Reference;

use crate::sha256;

/// Names and their digests, in a directory of their own.
#[derive(Debug, Clone)]
pub struct Names(PathBuf);

impl Names {
    /// In `directory`, which exists.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The digest that a name stands for, `sha256:…`; one that says its digest itself is never looked up.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn digest(&self, name: &Reference) -> io::Result<Option<String>> {
        if let Some(digest) = name.digest() {
            return Ok(Some(digest.to_owned()));
        }
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(is_digest(text.trim()).then(|| text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers what a name stands for; `None` forgets it.
    ///
    /// # Errors
    ///
    /// It cannot be written, or `digest` is none.
    pub fn note(&self, name: &Reference, digest: Option<&str>) -> io::Result<()> {
        let path = self.path(name);
        let Some(digest) = digest else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        };
        if !is_digest(digest) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{digest:?} is no digest"),
            ));
        }
        super::memory::write(&path, digest.as_bytes())
    }

    fn path(&self, name: &Reference) -> PathBuf {
        Path::new(&self.0).join(format!("name-{}", sha256::of(name.to_string().as_bytes())))
    }
}

fn is_digest(text: &str) -> bool {
    text.parse::<bailiwick_runtime::LayerDigest>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_what_was_noted_and_a_digest_for_itself() {
        let directory = tempfile::tempdir().unwrap();
        let names = Names::in_directory(directory.path());
        let name: Reference = "registry.example.com/a:1".parse().unwrap();
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(names.digest(&name).unwrap(), None);
        names.note(&name, Some(&digest)).unwrap();
        assert_eq!(names.digest(&name).unwrap(), Some(digest.clone()));
        assert!(names.note(&name, Some("sha256:../x")).is_err());
        names.note(&name, None).unwrap();
        names.note(&name, None).unwrap();
        assert_eq!(names.digest(&name).unwrap(), None);
        let pinned: Reference = format!("registry.example.com/a@{digest}").parse().unwrap();
        assert_eq!(names.digest(&pinned).unwrap(), Some(digest));
    }
}

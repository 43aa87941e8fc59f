//! What the operating system of an image says is installed: the databases of dpkg and apk.
//!
//! They are files that somebody else filled: found below a root without ever leaving it, and read up to a limit.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bailiwick_model::limits::PACKAGE_DATABASE_BYTES;

use super::Purl;
use crate::rooted;

/// The database of a system cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path} of the image: {error}")]
pub struct UnreadableSystem {
    /// Which file, below the image's root.
    pub path: &'static str,
    /// Why.
    pub error: io::Error,
}

/// The operating system of an image.
#[derive(Debug, Default)]
pub(super) struct System {
    pub(super) release: Option<Release>,
    kind: Option<DatabaseKind>,
    /// The architecture that packages are for unless they say another.
    architecture: Option<String>,
    pub(super) packages: Vec<SystemPackage>,
}

/// os-release(5).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) id: String,
    pub(super) version: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SystemPackage {
    pub(super) name: String,
    version: String,
    architecture: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DatabaseKind {
    Dpkg,
    Apk,
}

const DATABASES: [(&str, DatabaseKind); 3] = [
    ("var/lib/dpkg/status", DatabaseKind::Dpkg),
    ("lib/apk/db/installed", DatabaseKind::Apk),
    ("usr/lib/apk/db/installed", DatabaseKind::Apk),
];
const RELEASES: &[&str] = &["usr/lib/os-release", "etc/os-release"];

impl System {
    /// Reads the topmost database and the topmost os-release. A system of another kind has no packages here.
    pub(super) fn read(roots: &[PathBuf]) -> Result<Self, UnreadableSystem> {
        let mut system = Self::default();
        if let Some(text) = topmost(roots, RELEASES)? {
            system.release = release(&text.1);
        }
        let paths = DATABASES.map(|(path, _)| path);
        if let Some((path, text)) = topmost(roots, &paths)? {
            let kind = DATABASES
                .iter()
                .find(|(of, _)| *of == path)
                .map(|(_, kind)| *kind);
            system.kind = kind;
            system.packages = match kind {
                Some(DatabaseKind::Dpkg) => dpkg(&text),
                Some(DatabaseKind::Apk) => apk(&text),
                None => Vec::new(),
            };
        }
        // dpkg itself is always for the machine.
        let own = |package: &&SystemPackage| matches!(package.name.as_str(), "dpkg" | "apk-tools");
        let own = system.packages.iter().find(own);
        system.architecture = own.map(|package| package.architecture.clone());
        Ok(system)
    }

    pub(super) fn purl(&self, package: &SystemPackage) -> Purl {
        let (kind, default_id) = match self.kind {
            Some(DatabaseKind::Apk) => ("apk", "alpine"),
            Some(DatabaseKind::Dpkg) | None => ("deb", "debian"),
        };
        let id = self
            .release
            .as_ref()
            .map_or(default_id, |release| &release.id);
        let mut purl = Purl::of_system(kind, id, &package.name, &package.version);
        if !package.architecture.is_empty() {
            purl.qualifiers.push(("arch", package.architecture.clone()));
        }
        let version = self
            .release
            .as_ref()
            .and_then(|release| release.version.as_ref());
        if let Some(version) = version {
            purl.qualifiers.push(("distro", format!("{id}-{version}")));
        }
        purl
    }

    /// Of a package that a layer of apt tells: `NAME` or `NAME:ARCHITECTURE`.
    pub(super) fn purl_of_debian_package(&self, name: &str, version: &str) -> Purl {
        let (bare, architecture) = match name.split_once(':') {
            Some((bare, architecture)) => (bare, Some(architecture)),
            None => (name, None),
        };
        let fits = |package: &&SystemPackage| {
            package.name == bare
                && package.version == version
                && architecture.is_none_or(|wanted| package.architecture == wanted)
        };
        let own = self.architecture.clone().unwrap_or_default();
        match self.packages.iter().find(fits) {
            Some(package) => self.purl(package),
            None => self.purl(&SystemPackage {
                name: bare.to_owned(),
                version: version.to_owned(),
                architecture: architecture.map_or(own, str::to_owned),
            }),
        }
    }

    #[cfg(test)]
    pub(super) fn debian(version: &str, architecture: &str) -> Self {
        Self {
            release: Some(Release {
                id: "debian".into(),
                version: Some(version.into()),
            }),
            kind: Some(DatabaseKind::Dpkg),
            architecture: Some(architecture.into()),
            packages: Vec::new(),
        }
    }
}

/// The first of these files that some root has, the topmost root first.
fn topmost(
    roots: &[PathBuf],
    paths: &[&'static str],
) -> Result<Option<(&'static str, String)>, UnreadableSystem> {
    for root in roots {
        for &path in paths {
            if let Some(text) =
                read(root, path).map_err(|error| UnreadableSystem { path, error })?
            {
                return Ok(Some((path, text)));
            }
        }
    }
    Ok(None)
}

/// The text of a file below a root, whose links lead nowhere else; `None` if there is none.
fn read(root: &Path, path: &str) -> io::Result<Option<String>> {
    let Some(file) = rooted::open(root, path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(PACKAGE_DATABASE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > PACKAGE_DATABASE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn release(text: &str) -> Option<Release> {
    let value = |name: &str| {
        let lines = text.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values
            .next()
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    Some(Release {
        id: value("ID").filter(|id| !id.is_empty())?,
        version: value("VERSION_ID"),
    })
}

/// Paragraphs of fields (deb822(5)); only what is installed.
fn dpkg(text: &str) -> Vec<SystemPackage> {
    let paragraph = |text: &str| {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        let is_installed = field("Status:")?.ends_with(" installed");
        is_installed.then_some(SystemPackage {
            name: field("Package:")?,
            version: field("Version:")?,
            architecture: field("Architecture:").unwrap_or_default(),
        })
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

/// Paragraphs of lines with a letter in front: P, V, A (Alpine's "Apk spec").
fn apk(text: &str) -> Vec<SystemPackage> {
    let paragraph = |text: &str| {
        let field = |letter: &str| text.lines().find_map(|line| line.strip_prefix(letter));
        Some(SystemPackage {
            name: field("P:")?.to_owned(),
            version: field("V:")?.to_owned(),
            architecture: field("A:").unwrap_or_default().to_owned(),
        })
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn purls(roots: &[&tempfile::TempDir]) -> Vec<String> {
        let roots: Vec<_> = roots.iter().map(|root| root.path().to_owned()).collect();
        let system = System::read(&roots).unwrap();
        let purls = system.packages.iter().map(|p| system.purl(p).to_string());
        purls.collect()
    }

    #[test]
    fn the_topmost_database_tells_and_what_was_removed_is_not_there() {
        let base = root(&[
            (
                "usr/lib/os-release",
                "NAME=x\nID=debian\nVERSION_ID=\"12\"\n",
            ),
            (
                "var/lib/dpkg/status",
                "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n",
            ),
        ]);
        let layer = root(&[(
            "var/lib/dpkg/status",
            "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\nPackage: jq\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.6-2.1+deb12u3\nDescription: x\n Status: y\n",
        )]);
        let dpkg = "pkg:deb/debian/dpkg@1.21.22?arch=amd64&distro=debian-12";
        let jq = "pkg:deb/debian/jq@1.6-2.1%2Bdeb12u3?arch=amd64&distro=debian-12";
        assert_eq!(purls(&[&layer, &base]), [dpkg, jq]);
        assert_eq!(purls(&[&base]), [dpkg]);
    }

    #[test]
    fn packages_of_alpine_are_listed() {
        let alpine = root(&[
            ("etc/os-release", "ID=alpine\nVERSION_ID=3.22.1\n"),
            (
                "lib/apk/db/installed",
                "C:Q1\nP:musl\nV:1.2.5-r10\nA:x86_64\nF:lib\n\n",
            ),
        ]);
        assert_eq!(
            purls(&[&alpine]),
            ["pkg:apk/alpine/musl@1.2.5-r10?arch=x86_64&distro=alpine-3.22.1"]
        );
    }

    #[test]
    fn links_lead_nowhere_outside_the_image_and_what_is_no_file_is_not_read() {
        let outside = root(&[(
            "status",
            "Package: secret\nStatus: a b installed\nVersion: 1\n",
        )]);
        let inside = root(&[("var/lib/dpkg/other", "")]);
        let status = inside.path().join("var/lib/dpkg/status");
        symlink(outside.path().join("status"), &status).unwrap();
        assert!(purls(&[&inside]).is_empty());
        fs::remove_file(&status).unwrap();
        let up = "../../../../../../../../../../".to_owned();
        symlink(
            up + outside.path().join("status").to_str().unwrap(),
            &status,
        )
        .unwrap();
        assert!(purls(&[&inside]).is_empty());
        fs::remove_file(&status).unwrap();
        fs::create_dir(&status).unwrap();
        assert!(purls(&[&inside]).is_empty());
        // The control: a link within.
        fs::remove_dir(&status).unwrap();
        fs::copy(outside.path().join("status"), inside.path().join("real")).unwrap();
        symlink("/real", &status).unwrap();
        assert_eq!(purls(&[&inside]), ["pkg:deb/debian/secret@1"]);
    }
}

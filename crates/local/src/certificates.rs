//! What TLS trusts inside: the host's own bundle, and what the caller adds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::MountStep;

use crate::{inside, java_store, trust};

/// Where distributions keep the bundle of trusted CA certificates, in the order in which OpenSSL and Go look for it.
const BUNDLES: &[&str] = &[
    // Debian, Ubuntu, Alpine, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where a bundle goes inside that is not simply the host's.
const INSIDE: &str = "/etc/bailiwick/ca-bundle.pem";

/// Variables that point programs with a list of their own (Python, Node.js, git, cargo, curl) to the bundle.
const VARIABLES: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
];

/// The bundle of a sandbox.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Where it is inside.
    path: PathBuf,
    /// What is in it, where it is not a file of the base.
    content: Option<Vec<u8>>,
    /// Where programs look that heed no variable, if it has to be there too.
    places: Vec<PathBuf>,
}

/// The bundle of a base, with what `own` (SSL_CERT_FILE of the caller), `added` (`--ca`, PEM) and `authority` (that of the sandbox itself, PEM)
/// add to it. With an authority it is in every place where programs look: what does not trust it cannot use a credential.
///
/// # Errors
///
/// One of the files cannot be read.
pub(crate) fn bundle(
    base: &Path,
    own: Option<&Path>,
    added: Option<&str>,
    authority: Option<&str>,
) -> Result<Option<Bundle>, (PathBuf, io::Error)> {
    let of_base = BUNDLES
        .iter()
        .map(Path::new)
        .find(|path| inside::has_file(base, path));
    // The caller's own choice of a bundle counts unless it is the system's anyway.
    let own = own.filter(|own| own.exists() && of_base.is_none_or(|of_base| *own != of_base));
    if own.is_none() && added.is_none() && authority.is_none() {
        return Ok(of_base.map(|path| Bundle {
            path: path.to_owned(),
            content: None,
            places: Vec::new(),
        }));
    }
    let mut content = Vec::new();
    let of_base = of_base.map(|path| (path, inside::read(base, path)));
    let own = own.map(|path| (path, fs::read(path)));
    for (file, read) in of_base.into_iter().chain(own) {
        content.extend(read.map_err(|error| (file.to_owned(), error))?);
        content.push(b'\n');
    }
    for added in added.into_iter().chain(authority) {
        content.extend(added.bytes());
        content.push(b'\n');
    }
    let places = BUNDLES.iter().map(Path::new);
    let places = places.filter(|path| authority.is_some() && can_be_put(base, path));
    Ok(Some(Bundle {
        path: INSIDE.into(),
        content: Some(content),
        places: places.map(Path::to_owned).collect(),
    }))
}

/// Whether the base has such a file, which another one can be shown in place of: nothing is put anywhere through a link to a directory.
fn can_be_put(base: &Path, place: &Path) -> bool {
    let directory = place.parent().unwrap_or(Path::new("/"));
    inside::has_file(base, place) && inside::has_directory(base, directory)
}

impl Bundle {
    /// Where it is inside.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The step that makes it, where it is not a file of the base.
    pub(crate) fn step(&self) -> Option<MountStep> {
        let content = self.content.clone()?;
        Some(MountStep::File {
            path: self.path.clone(),
            mode: 0o644,
            content,
        })
    }

    /// Puts it where programs look that heed no variable, for Java in its own form.
    pub(crate) fn put(&self, base: &Path, steps: &mut Vec<MountStep>) {
        let Some(content) = self.content.as_ref().filter(|_| !self.places.is_empty()) else {
            return;
        };
        for place in &self.places {
            trust::put(steps, place, content);
        }
        let stores = java_store::PLACES.iter().map(Path::new);
        let mut stores = stores.filter(|path| can_be_put(base, path)).peekable();
        if stores.peek().is_some() {
            let store = java_store::of_bundle(content);
            stores.for_each(|place| trust::put(steps, place, &store));
        }
    }

    /// The variables that name it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        VARIABLES.iter().map(|name| (*name, self.path()))
    }
}

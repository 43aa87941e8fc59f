//! Other registries than the public ones: a mirror, or an organization's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use bailiwick_model::PackageManager;
use bailiwick_policy::{HOST_SERVICE, HostPattern, HostPatternError};
use url::Url;

/// Where a package manager gets its packages instead of from its public registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Whose.
    pub manager: PackageManager,
    url: Url,
}

/// Why a text names no registry.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRegistry {
    /// It has no `=`.
    #[error("a registry is written MANAGER=URL, such as pip=https://pypi.example.com/simple")]
    Form,
    /// No such manager.
    #[error(transparent)]
    Manager(#[from] bailiwick_model::UnknownPackageManager),
    /// Not a URL.
    #[error("{0} is no URL: {1}")]
    Url(String, url::ParseError),
    /// A URL of another kind, or with a secret in it.
    #[error("a registry is an http or https URL without user, password, query and fragment")]
    Kind,
    /// Its host cannot be allowed.
    #[error(transparent)]
    Host(#[from] HostPatternError),
}

impl FromStr for Registry {
    type Err = InvalidRegistry;

    fn from_str(text: &str) -> Result<Self, InvalidRegistry> {
        let (manager, url) = text.split_once('=').ok_or(InvalidRegistry::Form)?;
        let manager: PackageManager = manager.parse()?;
        let url = match manager {
            // As cargo writes one (The Cargo Book, "Registry Protocols"); the other protocol is git's, which is not spoken here.
            PackageManager::Cargo => url.strip_prefix("sparse+").unwrap_or(url),
            PackageManager::Apt
            | PackageManager::Gem
            | PackageManager::Go
            | PackageManager::Npm
            | PackageManager::Pip => url,
        };
        let mut url =
            Url::parse(url).map_err(|error| InvalidRegistry::Url(url.to_owned(), error))?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain {
            return Err(InvalidRegistry::Kind);
        }
        // Cargo takes no other.
        if manager == PackageManager::Cargo && !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let registry = Self { manager, url };
        registry.host()?;
        Ok(registry)
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Registry {
    /// The host and port that a build must reach; `None` is a service of this host.
    pub(crate) fn host(&self) -> Result<Option<HostPattern>, HostPatternError> {
        let host = self.url.host_str().unwrap_or_default();
        if host == HOST_SERVICE {
            return Ok(None);
        }
        let port = self.url.port_or_known_default().unwrap_or(443);
        format!("{host}:{port}").parse().map(Some)
    }

    /// The port of this host, if the registry is a service of it.
    pub(crate) fn host_port(&self) -> Option<u16> {
        (self.url.host_str() == Some(HOST_SERVICE))
            .then(|| self.url.port_or_known_default())
            .flatten()
    }

    /// The variables by which its manager, or its recipe, is told.
    pub(crate) fn variables(&self) -> BTreeMap<OsString, OsString> {
        let url = self.url.as_str();
        let host = self.url.host_str().unwrap_or_default();
        let pairs: &[(&str, &str)] = match self.manager {
            PackageManager::Apt => &[("APT_MIRROR", url)],
            // Its own variables name registries besides the public one and none instead of it.
            PackageManager::Cargo => &[("CARGO_MIRROR", url)],
            PackageManager::Gem => &[("GEM_MIRROR", url)],
            // Modules of one's own are in no public checksum database.
            PackageManager::Go => &[("GOPROXY", url), ("GONOSUMDB", "*")],
            PackageManager::Npm => &[("npm_config_registry", url)],
            PackageManager::Pip if self.url.scheme() == "http" => {
                &[("PIP_INDEX_URL", url), ("PIP_TRUSTED_HOST", host)]
            }
            PackageManager::Pip => &[("PIP_INDEX_URL", url)],
        };
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_url_ends_the_text_that_a_recipe_puts_it_in() {
        for manager in PackageManager::ALL {
            let text = format!("{}=https://example.com/a\"b c\\d\ne\u{7f}", manager.name());
            let url = text.parse::<Registry>().unwrap().to_string();
            assert!(
                !url.contains(|c: char| c == '"'
                    || c == '\\'
                    || c.is_whitespace()
                    || c.is_control()),
                "{url:?}"
            );
        }
    }

    #[test]
    fn a_registry_is_a_plain_url_of_a_manager() {
        let pip: Registry = "pip=https://pypi.example.com/simple".parse().unwrap();
        assert_eq!(
            pip.host().unwrap().unwrap().to_string(),
            "pypi.example.com:443"
        );
        let here: Registry = "npm=http://host.internal:4873/".parse().unwrap();
        assert_eq!((here.host().unwrap(), here.host_port()), (None, Some(4873)));
        let cargo: Registry = "cargo=sparse+https://crates.example.com/index"
            .parse()
            .unwrap();
        assert_eq!(cargo.to_string(), "https://crates.example.com/index/");
        for refused in [
            "https://pypi.example.com",
            "brew=https://example.com",
            "apt=ftp://example.com/debian",
            "apt=sparse+https://example.com/debian",
            "cargo=git+https://example.com/index",
            "pip=file:///srv/simple",
            "pip=https://user:secret@example.com/simple",
            "pip=https://example.com/simple?token=x",
            "pip=--index-url",
        ] {
            assert!(refused.parse::<Registry>().is_err(), "{refused}");
        }
    }
}

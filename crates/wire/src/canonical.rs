//! An environment as a file again: every field of the wire, resolved, in its fixed order; extensions where they say something.

use std::collections::BTreeMap;
use std::fmt;

use bailiwick_model::{BaseName, Packages, Project};
use bailiwick_policy::{CidrRule, EgressPolicy, HostPattern, Mode, Preset};
use serde::{Serialize, Serializer};

use crate::environment_file::EnvironmentFile;

impl EnvironmentFile {
    /// The canonical YAML text; parsing it gives the same value, without the warnings.
    ///
    /// # Errors
    ///
    /// None in practice: only texts, booleans, numbers, lists and maps are written.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser_error::Error> {
        serde_saphyr::to_string(&self.canonical())
    }

    /// As [`Self::to_yaml`], without the packages and metadata where there are none.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn to_short_yaml(&self) -> Result<String, serde_saphyr::ser_error::Error> {
        let mut document = self.document();
        document.config.packages = document
            .config
            .packages
            .filter(|_| !self.packages.is_empty());
        document.metadata = document.metadata.filter(|metadata| !metadata.is_empty());
        serde_saphyr::to_string(&document)
    }

    /// The canonical form for any serializer.
    pub fn canonical(&self) -> impl Serialize + '_ {
        self.document()
    }

    fn document(&self) -> Document<'_> {
        Document {
            name: self.name.as_str(),
            description: self.description.as_deref(),
            config: Config {
                kind: "cloud",
                networking: self.policy.as_ref().map(Networking::from),
                packages: Some(PackageLists {
                    kind: "packages",
                    lists: &self.packages,
                }),
                base: self.base.as_ref(),
                project: self.project.as_ref(),
            },
            metadata: Some(&self.metadata),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    config: Config<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct Config<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    networking: Option<Networking<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<PackageLists<'a>>,
    /// An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a BaseName>,
    /// An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a Project>,
}

#[derive(Serialize)]
struct PackageLists<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    lists: &'a Packages,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Networking<'a> {
    Unrestricted(Extensions<'a>),
    Limited(Limited<'a>),
}

#[derive(Serialize)]
pub(crate) struct Limited<'a> {
    allowed_hosts: Texts<'a, HostPattern>,
    allow_package_managers: bool,
    allow_mcp_servers: bool,
    /// An extension whose default is `true`.
    #[serde(skip_serializing_if = "Clone::clone")]
    allow_credential_hosts: bool,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    presets: Texts<'a, Preset>,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
pub(crate) struct Extensions<'a> {
    #[serde(skip_serializing_if = "Texts::is_empty")]
    allowed_cidrs: Texts<'a, CidrRule>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    denied_hosts: Texts<'a, HostPattern>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    denied_cidrs: Texts<'a, CidrRule>,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    host_ports: &'a [u16],
}

/// Rules, written as texts.
struct Texts<'a, T>(&'a [T]);

impl<T> Texts<'_, T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: fmt::Display> Serialize for Texts<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'a> From<&'a EgressPolicy> for Networking<'a> {
    fn from(policy: &'a EgressPolicy) -> Self {
        let extensions = Extensions {
            allowed_cidrs: Texts(&policy.allowed_cidrs),
            denied_hosts: Texts(&policy.denied_hosts),
            denied_cidrs: Texts(&policy.denied_cidrs),
            host_ports: &policy.host_ports,
        };
        match policy.mode {
            Mode::Unrestricted => Self::Unrestricted(extensions),
            Mode::Limited => Self::Limited(Limited {
                allowed_hosts: Texts(&policy.allowed_hosts),
                allow_package_managers: policy.allow_package_managers,
                allow_mcp_servers: policy.allow_mcp_servers,
                allow_credential_hosts: policy.allow_credential_hosts,
                presets: Texts(&policy.presets),
                extensions,
            }),
        }
    }
}

//! The shape of an environment: every field of the wire, with absent, null and set kept apart, and its place in the source.
//!
//! A draft says nothing about meaning. `validate` turns it into values, whatever it was read from.

use bailiwick_model::PackageManager;

use crate::problem::{PackagePlace, Problem};
use crate::shape::{Fields, Reader};
use crate::tree::{Located, Node};

/// A field of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// Not there: on creation the default, on an update what is stored.
    Absent,
    /// `null`: the default.
    Null,
    /// There, but refused: the problem is reported already.
    Refused,
    /// There.
    Set(Located<T>),
}

impl<T> Field<T> {
    /// The value, where there is one.
    pub(crate) fn set(self) -> Option<Located<T>> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Null | Self::Refused => None,
        }
    }

    /// Whether nothing was written, so that asking for it is right.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }
}

/// A list of texts, each with its place.
pub(crate) type Texts = Vec<Located<String>>;

/// The whole document.
#[derive(Debug)]
pub(crate) struct EnvironmentDraft {
    pub(crate) name: Field<String>,
    pub(crate) description: Field<String>,
    pub(crate) scope: Field<String>,
    pub(crate) config: Field<ConfigDraft>,
    pub(crate) metadata: Field<Vec<(Located<String>, Located<String>)>>,
}

/// `config`.
#[derive(Debug)]
pub(crate) struct ConfigDraft {
    pub(crate) kind: Field<String>,
    pub(crate) networking: Field<NetworkingDraft>,
    pub(crate) packages: Field<PackagesDraft>,
    /// An extension of the Managed Agents shape, as is what follows.
    pub(crate) base: Field<String>,
    pub(crate) project: Field<ProjectDraft>,
}

/// `config.networking`. The fields after `allow_mcp_servers` are extensions of the Managed Agents shape.
#[derive(Debug)]
pub(crate) struct NetworkingDraft {
    pub(crate) kind: Field<String>,
    pub(crate) allowed_hosts: Field<Texts>,
    pub(crate) allow_package_managers: Field<bool>,
    pub(crate) allow_mcp_servers: Field<bool>,
    pub(crate) allow_credential_hosts: Field<bool>,
    pub(crate) allowed_cidrs: Field<Texts>,
    pub(crate) presets: Field<Texts>,
    pub(crate) denied_hosts: Field<Texts>,
    pub(crate) denied_cidrs: Field<Texts>,
    pub(crate) host_ports: Field<Vec<Located<u16>>>,
}

/// `config.packages`.
#[derive(Debug)]
pub(crate) struct PackagesDraft {
    pub(crate) kind: Field<String>,
    /// One for each manager, in their order.
    pub(crate) lists: Vec<(PackageManager, Field<Vec<PackageDraft>>)>,
}

/// An entry of a list of packages.
#[derive(Debug)]
pub(crate) struct PackageDraft {
    pub(crate) place: PackagePlace,
    pub(crate) text: Located<String>,
}

/// `config.project`.
#[derive(Debug)]
pub(crate) struct ProjectDraft {
    pub(crate) repository: Field<String>,
    pub(crate) git_ref: Field<String>,
    pub(crate) name: Field<String>,
    /// Each with its position in the list.
    pub(crate) setup: Field<Vec<(usize, Located<String>)>>,
}

impl EnvironmentDraft {
    /// Reads the shape; `None` where the document is not a map.
    pub(crate) fn read(root: Node, problems: &mut Vec<Problem>) -> Option<Located<Self>> {
        let mut reader = Reader::new(problems);
        let span = root.span.clone();
        let value = reader.map(root, "an environment", |reader, fields| Self {
            name: reader.field(fields, "name", Reader::text),
            description: reader.field(fields, "description", Reader::text),
            scope: reader.field(fields, "scope", Reader::text),
            config: reader.field(fields, "config", ConfigDraft::read),
            metadata: reader.field(fields, "metadata", Reader::pairs),
        })?;
        Some(Located { value, span })
    }
}

impl ConfigDraft {
    fn read(reader: &mut Reader<'_>, _: &'static str, node: Node) -> Option<Self> {
        reader.map(node, "`config`", |reader, fields| Self {
            kind: reader.field(fields, "type", Reader::text),
            networking: reader.field(fields, "networking", NetworkingDraft::read),
            packages: reader.field(fields, "packages", PackagesDraft::read),
            base: reader.field(fields, "base", Reader::text),
            project: reader.field(fields, "project", ProjectDraft::read),
        })
    }
}

impl NetworkingDraft {
    fn read(reader: &mut Reader<'_>, _: &'static str, node: Node) -> Option<Self> {
        reader.map(
            node,
            "`config.networking`",
            |reader, fields: &mut Fields| Self {
                kind: reader.field(fields, "type", Reader::text),
                allowed_hosts: reader.field(fields, "allowed_hosts", Reader::texts),
                allow_package_managers: reader.field(
                    fields,
                    "allow_package_managers",
                    Reader::boolean,
                ),
                allow_mcp_servers: reader.field(fields, "allow_mcp_servers", Reader::boolean),
                allow_credential_hosts: reader.field(
                    fields,
                    "allow_credential_hosts",
                    Reader::boolean,
                ),
                allowed_cidrs: reader.field(fields, "allowed_cidrs", Reader::texts),
                presets: reader.field(fields, "presets", Reader::texts),
                denied_hosts: reader.field(fields, "denied_hosts", Reader::texts),
                denied_cidrs: reader.field(fields, "denied_cidrs", Reader::texts),
                host_ports: reader.field(fields, "host_ports", Reader::ports),
            },
        )
    }
}

impl ProjectDraft {
    fn read(reader: &mut Reader<'_>, _: &'static str, node: Node) -> Option<Self> {
        reader.map(node, "`config.project`", |reader, fields| Self {
            repository: reader.field(fields, "repository", Reader::text),
            git_ref: reader.field(fields, "ref", Reader::text),
            name: reader.field(fields, "name", Reader::text),
            setup: reader.field(fields, "setup", Reader::numbered_texts),
        })
    }
}

impl PackagesDraft {
    fn read(reader: &mut Reader<'_>, _: &'static str, node: Node) -> Option<Self> {
        reader.map(node, "`config.packages`", |reader, fields| Self {
            kind: reader.field(fields, "type", Reader::text),
            lists: PackageManager::ALL
                .iter()
                .map(|manager| {
                    let list = reader.field(fields, manager.name(), |reader, _, node| {
                        reader.packages(*manager, node)
                    });
                    (*manager, list)
                })
                .collect(),
        })
    }
}

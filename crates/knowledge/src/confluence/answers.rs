//! What the API says.

use jiff::Timestamp;
use serde::Deserialize;

use crate::Revision;
use crate::http::Few;

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) results: Few<T>,
    #[serde(rename = "_links", default)]
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    webui: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Space {
    pub(super) id: String,
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    id: String,
    #[serde(rename = "spaceId", default)]
    space_id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    version: Option<Version>,
    #[serde(default)]
    body: Option<Bodies>,
    #[serde(rename = "_links", default)]
    links: Links,
}

#[derive(Debug, Deserialize)]
struct Version {
    number: u64,
    #[serde(rename = "createdAt", default)]
    created_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Bodies {
    #[serde(default)]
    storage: Option<Storage>,
}

#[derive(Debug, Deserialize)]
struct Storage {
    value: String,
}

impl<T> List<T> {
    /// Where the next page is, if there is one.
    pub(super) fn next(&self) -> Option<&str> {
        self.links.next.as_deref()
    }
}

impl Page {
    /// Its id, which is a number in a text.
    pub(super) fn number(&self) -> Option<u64> {
        self.id.parse().ok()
    }

    /// The id of its space.
    pub(super) fn space(&self) -> Option<&str> {
        self.space_id.as_deref()
    }

    pub(super) fn revision(&self) -> Option<Revision> {
        let version = self.version.as_ref()?;
        format!("version {}", version.number).parse().ok()
    }

    pub(super) fn updated_at(&self) -> Option<Timestamp> {
        let version = self.version.as_ref()?;
        version.created_at.as_ref()?.parse().ok()
    }

    /// Neither in the trash nor a draft.
    pub(super) fn is_current(&self) -> bool {
        self.status
            .as_deref()
            .is_none_or(|status| status == "current")
    }

    /// Where people find it, below the site.
    pub(super) fn link(&self) -> Option<&str> {
        self.links.webui.as_deref()
    }

    /// What it says, in the storage format.
    pub(super) fn into_body(self) -> Option<String> {
        Some(self.body?.storage?.value)
    }
}

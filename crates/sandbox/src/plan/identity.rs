//! Who runs inside, and how ids inside correspond to ids of the host (user_namespaces(7)).

use serde::{Deserialize, Serialize};

/// One line of `/proc/PID/uid_map`: `count` ids from `inside` on are the host's from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// The first id inside.
    pub inside: u32,
    /// The first id of the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Who writes the maps, and so which maps there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapWriter {
    /// A launcher that is root: any map, and idmapped mounts.
    Root,
    /// An ordinary user: a map of one id, the caller's own.
    Caller,
    /// `newuidmap` and `newgidmap` for an ordinary user, within the lines of /etc/subuid and /etc/subgid (subuid(5)).
    NewIdMap,
}

/// Who runs inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user id inside.
    pub uid: u32,
    /// The group id inside.
    pub gid: u32,
    /// The map of user ids.
    pub uid_map: Vec<IdMap>,
    /// The map of group ids.
    pub gid_map: Vec<IdMap>,
    /// Who writes both.
    pub writer: MapWriter,
}

impl Identity {
    /// The host's ids of who runs inside.
    pub fn outside(&self) -> Option<(u32, u32)> {
        Some((
            translate(&self.uid_map, self.uid)?,
            translate(&self.gid_map, self.gid)?,
        ))
    }

    /// Whether root is mapped, so that the init can own directories as root and become any other id.
    pub fn maps_root(&self) -> bool {
        self.uid_map.iter().any(|line| line.inside == 0)
            && self.gid_map.iter().any(|line| line.inside == 0)
    }
}

/// The host's id of an id inside.
fn translate(maps: &[IdMap], inside: u32) -> Option<u32> {
    maps.iter().find_map(|map| {
        let offset = inside.checked_sub(map.inside)?;
        (offset < map.count).then(|| map.outside + offset)
    })
}

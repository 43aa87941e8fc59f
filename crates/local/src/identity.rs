//! Who runs inside, and which ids of the host that takes.

use std::fs::{self, File};
use std::io;
use std::ops::Range;

use bailiwick_sandbox::plan::{IdMap, Identity, MapWriter};
use rustix::thread::CapabilitySet;

use crate::state::{StateDirectory, StateError};

/// The first host id of Bailiwick's own ranges, and the end of the last: between those that systemd-nspawn takes and those that systemd
/// sets aside for foreign images (systemd, "Users, Groups, UIDs and GIDs on systemd systems").
const HOST_IDS: Range<u32> = 0x7000_0000..0x7ffd_0000;
/// Ids of one sandbox.
const IDS: u32 = 0x1_0000;
/// The user inside.
const AGENT: u32 = 1000;

/// Who a caller wants inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// uid 1000, without any capability.
    Agent,
    /// uid 0 inside, with the capabilities that package managers need there.
    Root,
}

/// Why no ids could be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Every range is taken.
    #[error("every range of host ids is in use by another sandbox")]
    NoRange,
    /// A range cannot be locked.
    #[error("cannot lock a range of host ids: {0}")]
    Lock(io::Error),
    /// The state directory, in which ranges are taken.
    #[error(transparent)]
    State(#[from] StateError),
}

/// An identity, and the lock on its range of host ids.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) identity: Identity,
    pub(crate) range: Option<File>,
}

/// Whether this process can make idmapped mounts and map any ids: root with CAP_SYS_ADMIN, outside of a user namespace that takes it away.
pub fn privileged() -> bool {
    let has_capability =
        |set| rustix::thread::capabilities(None).is_ok_and(|held| held.effective.contains(set));
    rustix::process::geteuid().is_root()
        && has_capability(CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID | CapabilitySet::SETGID)
}

/// Whether root inside can become other users where an ordinary user starts the sandbox: it takes subordinate ids (subuid(5)) and `newuidmap`.
pub fn has_subordinate_ids() -> bool {
    subordinate_ids(rustix::process::geteuid().as_raw()).is_some()
}

/// Does `work` as root over this user's own id and its subordinate ids, to whom files of layers may belong.
///
/// # Errors
///
/// What `work` says; that there are no subordinate ids, or the process has more than one thread.
pub fn with_subordinate_ids(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match ordinary(RunAs::Root) {
        identity if identity.writer == MapWriter::NewIdMap => {
            bailiwick_sandbox::with_ids(&identity, work)
        }
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Chooses the ids of a sandbox. `spread` is any number that differs between sandboxes.
pub(crate) fn claim(
    run_as: RunAs,
    state: &StateDirectory,
    spread: u64,
) -> Result<Claimed, IdentityError> {
    if privileged() {
        let id = inside(run_as);
        let (start, range) = claim_range(state, spread)?;
        let map = vec![IdMap {
            inside: 0,
            outside: start,
            count: IDS,
        }];
        let identity = Identity {
            uid: id,
            gid: id,
            uid_map: map.clone(),
            gid_map: map,
            writer: MapWriter::Root,
        };
        return Ok(Claimed {
            identity,
            range: Some(range),
        });
    }
    Ok(Claimed {
        identity: ordinary(run_as),
        range: None,
    })
}

/// The ids of a sandbox that an ordinary user starts.
fn ordinary(run_as: RunAs) -> Identity {
    let id = inside(run_as);
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let own = |outside| IdMap {
        inside: id,
        outside,
        count: 1,
    };
    let mut identity = Identity {
        uid: id,
        gid: id,
        uid_map: vec![own(uid)],
        gid_map: vec![own(gid)],
        writer: MapWriter::Caller,
    };
    // Only root inside has a use for more ids than its own: it can become them.
    if let (RunAs::Root, Some((uids, gids))) = (run_as, subordinate_ids(uid)) {
        identity.uid_map.push(uids);
        identity.gid_map.push(gids);
        identity.writer = MapWriter::NewIdMap;
    }
    identity
}

/// The id of the programs inside.
fn inside(run_as: RunAs) -> u32 {
    match run_as {
        RunAs::Agent => AGENT,
        RunAs::Root => 0,
    }
}

fn claim_range(state: &StateDirectory, spread: u64) -> Result<(u32, File), IdentityError> {
    let count = (HOST_IDS.end - HOST_IDS.start) / IDS;
    let taken: Vec<_> = ["/etc/subuid", "/etc/subgid"]
        .iter()
        .flat_map(|file| subordinate_ranges(file))
        .map(|(_, r)| r)
        .collect();
    let ranges = state.id_ranges()?;
    let first = (spread % u64::from(count)) as u32;
    for number in (0..count).map(|offset| (first + offset) % count) {
        let start = HOST_IDS.start + number * IDS;
        if taken
            .iter()
            .any(|range| range.start < start + IDS && start < range.end)
        {
            continue;
        }
        if bailiwick_sandbox::lock_byte(&ranges, number.into()).map_err(IdentityError::Lock)? {
            return Ok((start, ranges));
        }
    }
    Err(IdentityError::NoRange)
}

/// The caller's subordinate ids, where `newuidmap` is installed to hand them out.
fn subordinate_ids(uid: u32) -> Option<(IdMap, IdMap)> {
    let installed = |program: &str| {
        ["/usr/bin", "/bin", "/usr/local/bin"]
            .iter()
            .any(|d| fs::metadata(format!("{d}/{program}")).is_ok())
    };
    if !installed("newuidmap") || !installed("newgidmap") {
        return None;
    }
    let name = user_name(uid);
    let own = |file| {
        let range = subordinate_ranges(file)
            .into_iter()
            .find(|(who, _)| *who == uid.to_string() || Some(who) == name.as_ref())?
            .1;
        Some(IdMap {
            inside: 1,
            outside: range.start,
            count: (range.end - range.start).min(IDS - 1),
        })
    };
    Some((own("/etc/subuid")?, own("/etc/subgid")?))
}

/// The lines of a file such as /etc/subuid: `user:first:count` (subuid(5)).
fn subordinate_ranges(file: &str) -> Vec<(String, Range<u32>)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let (who, first, count) = (
            fields.next()?,
            fields.next()?.parse::<u32>().ok()?,
            fields.next()?.trim().parse::<u32>().ok()?,
        );
        Some((who.to_owned(), first..first.saturating_add(count)))
    };
    text.lines().filter_map(line).collect()
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

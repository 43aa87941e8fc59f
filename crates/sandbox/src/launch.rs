//! From a plan to a running sandbox: the launcher's side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Pid;

use crate::cgroup::{Cgroup, CgroupError};
use crate::channel::Channel;
use crate::idmap::{self, IdMapError};
use crate::init;
use crate::mounts::{IdmapNamespaces, MountError, Sources};
use crate::network::NetworkSockets;
use crate::plan::{IdMap, MapWriter, MountStep, Ownership, Plan};
use crate::protocol::{LaunchFailure, Report, Request};
use crate::running::Sandbox;
use crate::sys::{self, Cloned};

/// The namespaces of every sandbox.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// A sandbox that is built and confined, and in which nothing runs yet.
#[derive(Debug)]
pub struct Launched {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The sockets of its network namespace: until somebody serves them, nothing inside gets an answer.
    pub network: NetworkSockets,
}

/// Why a sandbox was not launched. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The process has more than one thread, so that it cannot be copied.
    #[error("a sandbox can only be launched from a process with one thread; this one has {0}")]
    Threads(usize),
    /// The control groups could not be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The kernel refused the namespaces.
    #[error(
        "the kernel refused to make the namespaces of a sandbox: {errno}; `bailiwick doctor` says what is missing"
    )]
    Namespaces {
        /// Its answer.
        errno: Errno,
    },
    /// The id maps could not be written.
    #[error(transparent)]
    IdMap(#[from] IdMapError),
    /// A tree of the host could not be opened.
    #[error("{0}; `bailiwick doctor` says what the kernel lacks")]
    Source(#[from] MountError),
    /// A step inside failed.
    #[error("{0}; `bailiwick doctor` says what the kernel lacks")]
    Inside(#[from] LaunchFailure),
    /// The init ended without a word.
    #[error("the first process of the sandbox ended before it was ready")]
    Silent,
    /// The socket pair failed.
    #[error("cannot talk to the sandbox: {0}")]
    Channel(#[from] std::io::Error),
}

/// A sandbox whose first process runs. It builds its network, then waits for the host's part.
#[derive(Debug)]
pub struct Begun<'plan> {
    plan: &'plan Plan,
    // Dropping it closes the channel and so ends the init.
    sandbox: Sandbox,
    child: Pid,
}

/// A sandbox that has all it needs from the host, and builds the rest by itself.
#[derive(Debug)]
pub struct Building {
    sandbox: Sandbox,
    /// Reaped at the end, when it has long ended.
    _owner: Option<idmap::Namespace>,
}

/// Launches a sandbox: all steps, one after the other.
///
/// # Errors
///
/// See [`LaunchError`]; what was begun is undone.
pub fn launch(plan: &Plan) -> Result<Launched, LaunchError> {
    let building = begin(plan)?.provide()?;
    let network = building.network()?;
    Ok(Launched {
        sandbox: building.finish()?,
        network,
    })
}

/// Makes the namespaces and their first process, which works beside this one from here on.
///
/// # Errors
///
/// See [`LaunchError`]; what was begun is undone.
pub fn begin(plan: &Plan) -> Result<Begun<'_>, LaunchError> {
    let threads = sys::thread_count()?;
    if threads != 1 {
        return Err(LaunchError::Threads(threads));
    }
    let cgroup = plan.cgroup.as_ref().map(Cgroup::create).transpose()?;
    let (ours, theirs) = Channel::pair()?;
    let birthplace = cgroup
        .as_ref()
        .and_then(Cgroup::birthplace)
        .map(AsFd::as_fd);
    // SAFETY: the process has one thread, as was just counted.
    let cloned = unsafe { sys::clone3(NAMESPACES, birthplace) };
    match cloned.map_err(|errno| LaunchError::Namespaces { errno })? {
        Cloned::Child => {
            drop(ours);
            init::run(plan, &theirs)
        }
        Cloned::Parent { child, pidfd } => {
            drop(theirs);
            let sandbox = Sandbox::new(child, pidfd, ours, cgroup);
            Ok(Begun {
                plan,
                sandbox,
                child,
            })
        }
    }
}

impl Begun<'_> {
    /// The init's id, as the host sees it.
    pub fn pid(&self) -> Pid {
        self.child
    }

    /// Hands over ids and the trees of the host. From here on, everything that the plan's mounts name must be there.
    ///
    /// # Errors
    ///
    /// See [`LaunchError`]; what was begun is undone.
    pub fn provide(self) -> Result<Building, LaunchError> {
        let Self {
            plan,
            sandbox,
            child,
        } = self;
        let identity = &plan.identity;
        idmap::write(child, identity.writer, &identity.uid_map, &identity.gid_map)?;
        if let Some(cgroup) = sandbox.cgroup() {
            cgroup.attach(child)?;
        }
        let (sources, owner) = match identity.writer {
            MapWriter::Root => {
                let (sources, owner) = open_sources(plan, child)?;
                (Some(sources), owner)
            }
            MapWriter::Caller | MapWriter::NewIdMap => (None, None),
        };
        let descriptors: Vec<BorrowedFd<'_>> = sources
            .iter()
            .flat_map(|sources| sources.0.iter().map(AsFd::as_fd))
            .collect();
        sandbox.channel().send(
            &Request::Proceed {
                sources_attached: sources.is_some(),
            },
            &descriptors,
        )?;
        Ok(Building {
            sandbox,
            _owner: owner,
        })
    }
}

impl Building {
    /// Waits for the sockets of the network namespace, the first part that is done; once.
    ///
    /// # Errors
    ///
    /// See [`LaunchError`].
    pub fn network(&self) -> Result<NetworkSockets, LaunchError> {
        match expect(self.sandbox.channel())? {
            (Report::Network, descriptors) => {
                NetworkSockets::from_descriptors(descriptors).ok_or(LaunchError::Silent)
            }
            _ => Err(LaunchError::Silent),
        }
    }

    /// Waits until the sandbox is built and confined. [`Building::network`] comes first.
    ///
    /// # Errors
    ///
    /// See [`LaunchError`]; what was begun is undone.
    pub fn finish(self) -> Result<Sandbox, LaunchError> {
        match expect(self.sandbox.channel())? {
            (Report::Ready, _) => Ok(self.sandbox),
            _ => Err(LaunchError::Silent),
        }
    }
}

fn expect(channel: &Channel) -> Result<(Report, Vec<OwnedFd>), LaunchError> {
    let message = channel.receive::<Report>()?.ok_or(LaunchError::Silent)?;
    if let Report::Failed(failure) = message.body {
        Err(failure.into())
    } else {
        Ok((message.body, message.descriptors))
    }
}

/// Opens the host's trees with the launcher's rights, idmapped as the plan has it.
fn open_sources(
    plan: &Plan,
    child: Pid,
) -> Result<(Sources, Option<idmap::Namespace>), LaunchError> {
    let base = idmap::user_namespace_of(child)?;
    let owner = owner_maps(plan)
        .map(|(uids, gids)| idmap::Namespace::new(&[uids], &[gids]))
        .transpose()?;
    let namespaces = IdmapNamespaces {
        base: base.as_fd(),
        owner: owner.as_ref().map(AsFd::as_fd),
    };
    let sources = Sources::open(&plan.mounts, Some(&namespaces))?;
    Ok((sources, owner))
}

/// The maps that show the one owner on disk as the user inside; `None` if no step asks for it.
fn owner_maps(plan: &Plan) -> Option<(IdMap, IdMap)> {
    let identity = &plan.identity;
    plan.mounts.iter().find_map(|step| match step {
        MountStep::Bind {
            ownership: Ownership::Owner { uid, gid },
            ..
        } => {
            let (uid_outside, gid_outside) = identity.outside()?;
            let one = |inside, outside| IdMap {
                inside,
                outside,
                count: 1,
            };
            Some((one(*uid, uid_outside), one(*gid, gid_outside)))
        }
        MountStep::Bind { .. }
        | MountStep::Directory { .. }
        | MountStep::File { .. }
        | MountStep::Symlink { .. }
        | MountStep::Private { .. }
        | MountStep::Overlay { .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. } => None,
    })
}

//! From a request to a plan: everything is decided here. Nothing is done yet except taking locks and making the directories of a draft.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_egress::{AuthorityError, DormantAuthority};
use bailiwick_model::{EnvironmentName, SandboxId, limits};
use bailiwick_sandbox::cgroup::{CgroupLimits, Controller, Hierarchies};
use bailiwick_sandbox::network::NetworkPlan;
use bailiwick_sandbox::plan::{
    Identity, MapWriter, MountStep, Plan, PrivateStorage, ProcessLimits, Profile,
};

use crate::base::{self, Base, Layout};
use crate::certificates;
use crate::identity::{self, IdentityError, RunAs};
use crate::layers::Layers;
use crate::placeholder::Placeholders;
use crate::state::{StateDirectory, StateError};
use crate::toolchain::Toolchains;
use crate::workspace::{self, Workspace, WorkspaceError};

/// The fixed part of PATH inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where what an image adds to the base puts its programs.
const LOCAL: &[&str] = &["/usr/local/sbin", "/usr/local/bin"];

/// What a caller wants.
#[derive(Debug, Clone)]
pub struct Request {
    /// The id of the sandbox.
    pub id: SandboxId,
    /// Its environment, where that has a name.
    pub environment: Option<EnvironmentName>,
    /// The work directory, if there is to be one.
    pub workspace: Option<Workspace>,
    /// Where programs come from.
    pub base: Base,
    /// Toolchains besides those that are found.
    pub toolchains: Vec<PathBuf>,
    /// Who runs.
    pub run_as: RunAs,
    /// Variables for programs, over those that every sandbox has.
    pub variables: Vec<(OsString, OsString)>,
    /// What lies over the base.
    pub layers: Layers,
    /// Certificates to trust besides the host's, PEM.
    pub certificates: Option<String>,
    /// Whether it may have credentials: it then trusts a certificate authority of its own.
    pub credentials: bool,
    /// What the sandbox may use up.
    pub limits: Limits,
    /// What of the caller's surroundings matters.
    pub surroundings: Surroundings,
}

/// Limits that a caller names; each `None` is the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Bytes of the private file system.
    pub disk_bytes: Option<u64>,
}

/// What of the caller's surroundings matters, read by the binary.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The caller's home directory.
    pub home: Option<PathBuf>,
    /// A bundle of CA certificates that the caller trusts instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Variables that are handed on as they are (TERM, LANG and the like).
    pub terminal: Vec<(OsString, OsString)>,
}

/// Why a request cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The work directory is not taken.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// No ids could be had.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// A limit was asked for that nothing here can hold.
    #[error(
        "a limit on {what} needs the {controller} control group controller, which this process may not use. {}",
        CGROUP_HELP
    )]
    NoController {
        /// What was to be limited.
        what: &'static str,
        /// What is missing.
        controller: &'static str,
    },
    /// The sandbox has no certificate authority of its own.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A certificate file cannot be used.
    #[error("cannot use {} as CA certificates: {error}", path.display())]
    Certificates {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A base that would show more than a system's programs.
    #[error("{} is {what}: a base is a directory that holds a root file system and nothing else", path.display())]
    Base {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A directory that was named cannot be used.
    #[error("cannot use {} as {what}: {error}", path.display())]
    Directory {
        /// What for.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl PrepareError {
    /// Whether the request names something that cannot be used, and not this machine lacks something.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Workspace(_)
            | Self::Certificates { .. }
            | Self::Base { .. }
            | Self::Directory { .. } => true,
            Self::Identity(_) | Self::State(_) | Self::Authority(_) | Self::NoController { .. } => {
                false
            }
        }
    }
}

const CGROUP_HELP: &str = "Run as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes -- bailiwick run ...";

/// A plan, and the locks that it rests on.
#[derive(Debug)]
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// The environment of every program in the sandbox.
    pub variables: Vec<OsString>,
    /// The directory that programs start in.
    pub directory: PathBuf,
    /// The work directory on the host.
    pub work_directory: Option<PathBuf>,
    /// Things that the person should know, once.
    pub notes: Vec<String>,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) authority: Option<DormantAuthority>,
    pub(crate) placeholders: Option<Placeholders>,
    pub(crate) covered: Vec<PathBuf>,
    pub(crate) uid_range: Option<std::fs::File>,
}

impl Prepared {
    /// The host's ids of the user inside, where they are not the caller's own: as whose a pipe can be opened again inside.
    pub fn owner_of_pipes(&self) -> Option<(u32, u32)> {
        let identity = &self.plan.identity;
        (identity.writer == MapWriter::Root)
            .then(|| identity.outside())
            .flatten()
    }
}

/// Plans a sandbox.
///
/// # Errors
///
/// See [`PrepareError`].
pub fn prepare(request: &Request, state: &StateDirectory) -> Result<Prepared, PrepareError> {
    let spread = request.id.as_str().bytes().fold(0, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    let claimed = identity::claim(request.run_as, state, spread)?;
    let hostname = request
        .environment
        .as_ref()
        .map_or_else(|| "bailiwick".to_owned(), |name| hostname(name.as_str()));
    let homes = workspace::home_directories(request.surroundings.home.as_deref());
    let base = canonical_base(&request.base)?;
    check_base(&base, request, &homes, state.path())?;
    let authority = request
        .credentials
        .then(DormantAuthority::new)
        .transpose()?;
    let mut tree = Tree::assemble(
        request,
        &base,
        &claimed.identity,
        &hostname,
        authority.as_ref(),
    )?;

    let idmapped = claimed.identity.writer == MapWriter::Root;
    let workspace = request
        .workspace
        .as_ref()
        .map(|workspace| workspace.check(&homes, state.path(), idmapped))
        .transpose()?;
    let mut prepared = Prepared {
        variables: variables(request, &tree.toolchains, tree.bundle.as_ref()),
        directory: home_inside(request.run_as).into(),
        work_directory: None,
        notes: Vec::new(),
        environment: request.environment.clone(),
        authority,
        placeholders: None,
        covered: Vec::new(),
        uid_range: claimed.range,
        plan: plan(request, claimed.identity, hostname),
    };
    if let Some(workspace) = workspace {
        tree.mounts.extend(workspace.steps);
        prepared.directory = workspace::INSIDE.into();
        prepared.work_directory = Some(workspace.path);
        prepared.placeholders = workspace.placeholders;
        prepared.covered = workspace.covered;
    } else {
        tree.mounts.extend(workspace::private());
    }
    tree.mounts.extend(tree.besides);
    base::settle(&mut tree.mounts);
    prepared.plan.mounts = tree.mounts;
    hold_limits(request, &mut prepared)?;
    Ok(prepared)
}

/// The file system without the work directory.
struct Tree {
    mounts: Vec<MountStep>,
    /// What comes after the work directory.
    besides: Vec<MountStep>,
    toolchains: Toolchains,
    bundle: Option<certificates::Bundle>,
}

impl Tree {
    fn assemble(
        request: &Request,
        base: &Base,
        identity: &Identity,
        hostname: &str,
        authority: Option<&DormantAuthority>,
    ) -> Result<Self, PrepareError> {
        let own = request.surroundings.ca_file.as_deref();
        let added = request.certificates.as_deref();
        let authority = authority.map(DormantAuthority::certificate);
        let bundle = certificates::bundle(base.root(), own, added, authority)
            .map_err(|(path, error)| PrepareError::Certificates { path, error })?;
        let layers = &request.layers;
        layers
            .make_draft(base.root())
            .map_err(|error| PrepareError::Directory {
                what: "the draft of a layer",
                path: layers
                    .draft
                    .as_ref()
                    .map(|draft| draft.directory.clone())
                    .unwrap_or_default(),
                error,
            })?;
        let layout = Layout {
            base,
            identity,
            hostname,
            writable: request.run_as == RunAs::Root,
            layers,
            bundle: bundle.as_ref(),
        };
        let mut mounts = layout.steps();
        if let Some(bundle) = &bundle {
            bundle.put(base.root(), &mut mounts);
        }
        let named = canonical_toolchains(&request.toolchains)?;
        if !request
            .workspace
            .as_ref()
            .is_some_and(|workspace| workspace.allow_sockets)
        {
            named
                .iter()
                .try_for_each(|directory| workspace::refuse_sockets(directory))?;
        }
        // Another base has its own programs; the caller's toolchains were built for this host's.
        let home = request
            .surroundings
            .home
            .as_deref()
            .filter(|_| *base == Base::Host);
        let toolchains = Toolchains::find(home, &named, layout.ownership());
        mounts.extend(toolchains.steps.iter().cloned());
        Ok(Self {
            mounts,
            besides: layers.besides(layout.ownership()),
            toolchains,
            bundle,
        })
    }
}

/// The plan without mounts and limits.
fn plan(request: &Request, identity: Identity, hostname: String) -> Plan {
    let (profile, writable_root) = match request.run_as {
        RunAs::Agent => (Profile::Run, false),
        RunAs::Root => (Profile::Build, true),
    };
    Plan {
        id: request.id.clone(),
        hostname,
        identity,
        profile,
        cgroup: None,
        network: NetworkPlan::for_this_kernel(),
        private: PrivateStorage {
            bytes: request.limits.disk_bytes,
            inodes: limits::PRIVATE_INODES,
            writable_root,
        },
        mounts: Vec::new(),
        draft: request
            .layers
            .draft
            .as_ref()
            .map(|draft| draft.directory.clone()),
        process_limits: ProcessLimits {
            open_files: limits::OPEN_FILES,
            processes: None,
            address_space: None,
        },
    }
}

/// What holds each limit. Without control groups an explicit limit is refused, and the default number of processes is an rlimit.
fn hold_limits(request: &Request, prepared: &mut Prepared) -> Result<(), PrepareError> {
    let wanted = &request.limits;
    let hierarchies = Hierarchies::detect();
    let explicit = [
        (wanted.memory_bytes.is_some(), "memory", Controller::Memory),
        (wanted.cpu_millis.is_some(), "processors", Controller::Cpu),
        (wanted.pids.is_some(), "processes", Controller::Pids),
    ];
    let refused = explicit
        .iter()
        .find(|(named, _, controller)| *named && !hierarchies.has(*controller));
    if let Some((_, what, controller)) = refused {
        return Err(PrepareError::NoController {
            what,
            controller: controller.name(),
        });
    }
    // One user id cannot get around a limit that the kernel counts by user; root inside can become others.
    let by_user = request.run_as == RunAs::Agent && !hierarchies.is_cheap(Controller::Pids);
    let default_pids =
        (!by_user && hierarchies.has(Controller::Pids)).then_some(limits::DEFAULT_PIDS);
    let pids = wanted.pids.or(default_pids);
    if pids.is_none() {
        prepared.plan.process_limits.processes = Some(limits::DEFAULT_PIDS.into());
    }
    if !hierarchies.has(Controller::Memory) {
        prepared.notes.push(format!(
            "no control group can be used here: memory is not limited, processes are limited to {} by setrlimit",
            limits::DEFAULT_PIDS
        ));
    }
    let held = CgroupLimits {
        memory_bytes: wanted.memory_bytes,
        cpu_millis: wanted.cpu_millis,
        pids,
    };
    prepared.plan.cgroup =
        hierarchies
            .plan(&request.id, &held)
            .map_err(|controller| PrepareError::NoController {
                what: "resources",
                controller: controller.name(),
            })?;
    Ok(())
}

fn variables(
    request: &Request,
    toolchains: &Toolchains,
    bundle: Option<&certificates::Bundle>,
) -> Vec<OsString> {
    let home = home_inside(request.run_as);
    let user = match request.run_as {
        RunAs::Agent => "agent",
        RunAs::Root => "root",
    };
    let layered = !request.layers.trees.is_empty();
    let mut all: Vec<(OsString, OsString)> = vec![("PATH".into(), path(home, layered, toolchains))];
    for (name, value) in [
        ("HOME", home),
        ("USER", user),
        ("LOGNAME", user),
        ("SHELL", "/bin/bash"),
    ] {
        all.push((name.into(), value.into()));
    }
    if layered {
        // Programs in the work directory find what was installed for all (Node.js, "Loading from the global folders").
        all.push(("NODE_PATH".into(), "/usr/local/lib/node_modules".into()));
    }
    all.extend(git_settings(request));
    if let Some(name) = &request.environment {
        all.push(("BAILIWICK_ENVIRONMENT".into(), name.as_str().into()));
    }
    all.push(("BAILIWICK_SANDBOX".into(), request.id.as_str().into()));
    all.extend(
        toolchains
            .variables
            .iter()
            .map(|(name, path)| ((*name).into(), path.into())),
    );
    all.extend(
        bundle
            .into_iter()
            .flat_map(certificates::Bundle::variables)
            .map(|(name, path)| (name.into(), path.into())),
    );
    all.extend(request.surroundings.terminal.iter().cloned());
    for (name, value) in &request.variables {
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), value.clone()));
    }
    all.into_iter()
        .map(|(name, value)| [name, value].join(std::ffi::OsStr::new("=")))
        .collect()
}

/// git-config(1): settings from the environment, over those of files.
fn git_settings(request: &Request) -> Vec<(OsString, OsString)> {
    let protects = request
        .workspace
        .as_ref()
        .is_some_and(|workspace| !workspace.writable_meta);
    let mut settings: Vec<(&str, OsString)> = Vec::new();
    if protects {
        settings.push(("core.excludesFile", workspace::GIT_EXCLUDES.into()));
    }
    // The files of a project belong to the user `agent`, also where root works on them.
    let mounted = request.layers.mounted.iter();
    settings.extend(mounted.map(|layer| ("safe.directory", layer.target.clone().into())));
    if settings.is_empty() {
        return Vec::new();
    }
    let count = ("GIT_CONFIG_COUNT".into(), settings.len().to_string().into());
    let pairs = settings
        .into_iter()
        .enumerate()
        .flat_map(|(n, (key, value))| {
            [
                (format!("GIT_CONFIG_KEY_{n}").into(), key.into()),
                (format!("GIT_CONFIG_VALUE_{n}").into(), value),
            ]
        });
    [count].into_iter().chain(pairs).collect()
}

fn path(home: &str, layered: bool, toolchains: &Toolchains) -> OsString {
    let own = [format!("{home}/.local/bin"), format!("{home}/.cargo/bin")].map(PathBuf::from);
    // What an image was built with comes before what the caller's home happens to have.
    let of_image = LOCAL.iter().filter(|_| layered).map(PathBuf::from);
    let found = toolchains.path.iter().cloned();
    let path = std::env::join_paths(own.into_iter().chain(of_image).chain(found));
    [path.unwrap_or_default(), PATH.into()].join(std::ffi::OsStr::new(":"))
}

fn home_inside(run_as: RunAs) -> &'static str {
    match run_as {
        RunAs::Agent => "/home/agent",
        RunAs::Root => "/root",
    }
}

/// A host name (RFC 1123) that reads like the environment's name.
fn hostname(name: &str) -> String {
    let text: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    let text = text.trim_matches('-');
    if text.is_empty() {
        "bailiwick".to_owned()
    } else {
        text.to_owned()
    }
}

/// Refuses a directory as a base that shows more of this host than a system's programs, or in which a program of the host listens.
///
/// `base` is canonical, and the one that is mounted.
fn check_base(
    base: &Base,
    request: &Request,
    homes: &[PathBuf],
    state: &Path,
) -> Result<(), PrepareError> {
    let path = match base {
        Base::Directory(path) => path,
        // Nothing of the host is in a layer, and no program listens there.
        Base::Host | Base::Layer(_) => return Ok(()),
    };
    let what = if path == Path::new("/") {
        "the root directory of this host; its programs are --base host"
    } else if homes.iter().any(|home| home.starts_with(path)) {
        "a home directory, or above one"
    } else if state.starts_with(path) || path.starts_with(state) {
        "Bailiwick's own state, or above it"
    } else {
        let accepted = request.workspace.as_ref().is_some_and(|w| w.allow_sockets);
        if !accepted {
            workspace::refuse_sockets(path)?;
        }
        return Ok(());
    };
    Err(PrepareError::Base {
        path: path.clone(),
        what,
    })
}

fn canonical_base(base: &Base) -> Result<Base, PrepareError> {
    match base {
        Base::Host => Ok(Base::Host),
        Base::Directory(path) => canonical_directory("the base", path).map(Base::Directory),
        Base::Layer(path) => canonical_directory("the base", path).map(Base::Layer),
    }
}

fn canonical_toolchains(named: &[PathBuf]) -> Result<Vec<PathBuf>, PrepareError> {
    named
        .iter()
        .map(|path| canonical_directory("a toolchain", path))
        .collect()
}

fn canonical_directory(what: &'static str, path: &Path) -> Result<PathBuf, PrepareError> {
    let failed = |error| PrepareError::Directory {
        what,
        path: path.to_owned(),
        error,
    };
    let canonical = std::fs::canonicalize(path).map_err(failed)?;
    if canonical.is_dir() {
        Ok(canonical)
    } else {
        Err(failed(io::ErrorKind::NotADirectory.into()))
    }
}

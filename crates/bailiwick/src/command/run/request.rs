//! From what was typed to what is needed to run: one step, in which everything that can be wrong is found.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::ProxySettings;
use bailiwick_images::{BaseSource, Lock, Registry};
use bailiwick_model::limits::HOST_PORTS;
use bailiwick_policy::Pins;

use super::{Arguments, LimitArguments};
use crate::bad_input::BadInput;
use crate::credential::Credential;
use crate::environment_source::{self, Environment};
use crate::host_environment::HostEnvironment;
use crate::images::Telling;
use crate::lock_source;
use crate::project::{Fetching, certificates};
use crate::value::{Bytes, MilliCpus, Variable};

/// Everything that one run was asked for, valid as far as arguments and files can say.
#[derive(Debug)]
pub(crate) struct RunRequest {
    /// The environment with its effective policy; ports of `--host-port` are in it.
    pub(crate) environment: Environment,
    /// The work directory: absolute, without symbolic links, a directory when it was looked at. None with a project.
    pub(crate) work_directory: Option<PathBuf>,
    /// How the project is fetched, if there is one.
    pub(crate) fetching: Fetching,
    /// Secrets that go along with requests, not read yet.
    pub(crate) credentials: Vec<Credential>,
    /// The variables of `-e`, in order; a later one wins.
    pub(crate) variables: Vec<Variable>,
    /// The program, and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Names that lead to addresses of the operator's choice.
    pub(crate) pins: Pins,
    /// Ports of servers inside that are offered on the host's loopback; each once.
    pub(crate) publish: Vec<u16>,
    /// Certificates to be trusted inside, PEM.
    pub(crate) ca: Option<String>,
    /// The proxy through which this machine reaches the network.
    pub(crate) upstream_proxy: Option<ProxySettings>,
    /// Names may be dialled whose addresses only the proxy knows.
    pub(crate) trust_proxy_dns: bool,
    /// What the program may use up.
    pub(crate) limits: Limits,
    /// Toolchains of the host: absolute, without symbolic links.
    pub(crate) toolchains: Vec<PathBuf>,
    /// What the sandbox stands on; a directory is absolute and without symbolic links.
    pub(crate) base: BaseSource,
    /// What the host runs or trusts in the work directory may be written.
    pub(crate) writable_meta: bool,
    /// The work directory may hold unix sockets.
    pub(crate) allow_sockets: bool,
    /// The program is uid 0 inside.
    pub(crate) root: bool,
    /// Registries that packages come from instead of the public ones.
    pub(crate) registries: Vec<Registry>,
    /// What the environment's packages are to come to.
    pub(crate) lock: Option<Arc<Lock>>,
    /// Files that decide about the run: the environment file, its lock and the certificates.
    pub(crate) decisive_files: Vec<PathBuf>,
    /// Where flows are written.
    pub(crate) flows: Option<PathBuf>,
    /// Only print the plan.
    pub(crate) dry_run: bool,
    /// Print no summary.
    pub(crate) quiet: bool,
    /// How the build of an image is told of.
    pub(crate) telling: Telling,
}

/// Limits that were asked for; what is `None` has the default of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory.
    pub(crate) memory: Option<Bytes>,
    /// Processor time.
    pub(crate) cpus: Option<MilliCpus>,
    /// Processes and threads.
    pub(crate) pids: Option<u32>,
    /// What may be written outside the work directory.
    pub(crate) disk: Option<Bytes>,
    /// How long the program may run.
    pub(crate) timeout: Option<Duration>,
}

impl RunRequest {
    /// Reads the files that the arguments name and checks everything that can be checked before anything is started.
    ///
    /// # Errors
    ///
    /// [`BadInput`].
    pub(crate) fn new(arguments: Arguments, host: &HostEnvironment) -> Result<Self, BadInput> {
        let Arguments {
            file,
            workdir,
            env,
            dry_run,
            quiet,
            progress,
            flows,
            project,
            network,
            lock,
            limits,
            files,
            command,
        } = arguments;
        let credentials = network.credentials.into_iter().map(Credential::open);
        let credentials = credentials.collect::<Result<Vec<_>, _>>()?;
        let mut environment = environment_source::load(file.as_deref(), host)?;
        let lock = lock_source::load(&lock, file.as_deref(), &environment.packages)?;
        let lock_path = lock.as_ref().map(|lock| &lock.path);
        let decisive_files = file.iter().chain(&network.ca).chain(lock_path);
        let decisive_files = decisive_files.cloned().collect();
        project.apply(&mut environment);
        let base = environment.base(files.base)?;
        let work_directory = work_directory(workdir, &environment)?;
        open_host_ports(&mut environment, &network.host_ports)?;
        let upstream_proxy = match network.upstream_proxy {
            Some(url) => Some(ProxySettings::new(url)),
            None => ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?,
        };
        let pins = network.resolve.into_iter().collect::<Pins>();
        let ca = network.ca.map(certificates).transpose()?;
        let toolchains = files.toolchains.into_iter().map(directory);
        let toolchains = toolchains.collect::<Result<Vec<_>, _>>()?;
        let base = canonical_base(base)?;
        refuse_visible(&credentials, work_directory.as_ref(), &toolchains, &base)?;
        Ok(Self {
            fetching: Fetching {
                proxy: upstream_proxy.clone(),
                ..project.fetching(&environment, pins.clone(), ca.clone(), host)?
            },
            environment,
            work_directory,
            credentials,
            variables: env,
            command,
            pins,
            publish: without_repetition(network.publish),
            ca,
            upstream_proxy,
            trust_proxy_dns: network.trust_proxy_dns,
            limits: limits.into(),
            toolchains,
            base,
            writable_meta: files.writable_meta,
            allow_sockets: files.allow_sockets,
            root: files.root,
            registries: network.registries,
            lock: lock.map(|file| file.lock),
            decisive_files,
            flows,
            dry_run,
            quiet,
            telling: Telling::of(progress, quiet),
        })
    }
}

/// A directory as a base, absolute and without symbolic links.
fn canonical_base(base: BaseSource) -> Result<BaseSource, BadInput> {
    Ok(match base {
        BaseSource::Directory(path) => BaseSource::Directory(directory(path)?),
        BaseSource::Host | BaseSource::Archive(_) | BaseSource::Debian(_) | BaseSource::Oci(_) => {
            base
        }
    })
}

/// Refuses secrets in what the program is shown.
fn refuse_visible(
    credentials: &[Credential],
    work_directory: Option<&PathBuf>,
    toolchains: &[PathBuf],
    base: &BaseSource,
) -> Result<(), BadInput> {
    let base = match base {
        BaseSource::Directory(path) => Some(path),
        BaseSource::Host | BaseSource::Archive(_) | BaseSource::Debian(_) | BaseSource::Oci(_) => {
            None
        }
    };
    credentials.iter().try_for_each(|credential| {
        credential.refuse_within(work_directory.into_iter().chain(toolchains).chain(base))
    })
}

impl From<LimitArguments> for Limits {
    fn from(arguments: LimitArguments) -> Self {
        let LimitArguments {
            memory,
            cpus,
            pids,
            disk,
            timeout,
        } = arguments;
        Self {
            memory,
            cpus,
            pids,
            disk,
            timeout,
        }
    }
}

fn open_host_ports(environment: &mut Environment, ports: &[u16]) -> Result<(), BadInput> {
    let open = &mut environment.effective.policy.host_ports;
    open.extend(ports);
    *open = without_repetition(std::mem::take(open));
    if open.len() > HOST_PORTS {
        Err(BadInput::TooManyHostPorts(open.len()))
    } else {
        Ok(())
    }
}

fn without_repetition(ports: Vec<u16>) -> Vec<u16> {
    let mut seen = std::collections::HashSet::new();
    ports
        .into_iter()
        .filter(|port| seen.insert(*port))
        .collect()
}

/// None beside a project, which is where the program works then.
fn work_directory(
    named: Option<PathBuf>,
    environment: &Environment,
) -> Result<Option<PathBuf>, BadInput> {
    match (&environment.project, named) {
        (Some(project), Some(_)) => Err(BadInput::WorkdirWithProject(project.name.to_string())),
        (Some(_), None) => Ok(None),
        (None, named) => directory(named.unwrap_or_else(|| PathBuf::from("."))).map(Some),
    }
}

/// The directory without symbolic links, so that what is checked is what is mounted.
fn directory(path: PathBuf) -> Result<PathBuf, BadInput> {
    match path.canonicalize() {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => Err(BadInput::NotADirectory(path)),
        Err(source) => Err(BadInput::Unreadable { path, source }),
    }
}

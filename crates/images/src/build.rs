//! Builds what is missing of an image: one layer after the other, each in a sandbox of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_model::{PackageManager, PackageSpec, Packages, PolicySource, SandboxId, Verdict};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, OrganizationFloor, Policy, SessionGrants, registries,
};
use bailiwick_runtime::{
    ByteSource, Command, Event, ExitStatus, Identity, LayerDigest, Profile, Running, Runtime,
    Sandbox, SandboxSpec, StopReason, Streams,
};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::key::{Below, LayerInputs};
use crate::recipe;
use crate::registry::Registry;
use crate::store::{Begin, Draft, Held, Layer, ResolvedPackage, Store, StoreError};

/// How often somebody else's build of the same layer is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How long the programs of a build have to end before they are killed.
const GRACE: Duration = Duration::from_millis(200);
/// The pauses between the tries of a build that failed for want of a network.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];
/// How often an image is begun again because somebody removes its layers meanwhile.
const TRIES: u32 = 3;
/// How much of the end of a log is kept to say why a build failed.
const TAIL_BYTES: usize = 16 * 1024;

/// Where programs are looked for in a build; what a home directory brings along comes last, for the one manager that has its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What builds images.
#[derive(Clone)]
pub struct Builder {
    /// Where sandboxes are made.
    pub runtime: Arc<dyn Runtime<Policy = Arc<Policy>>>,
    /// Where layers are kept.
    pub store: Store,
    /// Whose layers these are.
    pub organization: String,
    /// What identifies the base: see [`crate::key::Below::Base`].
    pub base: String,
    /// The machine's architecture as the kernel names it.
    pub architecture: String,
    /// Registries that are asked instead of the public ones.
    pub registries: Vec<Registry>,
    /// The time, in seconds since 1970.
    pub now: fn() -> i64,
    /// A fresh id for a sandbox.
    pub sandbox_id: fn() -> SandboxId,
}

/// What a builder is doing, for whoever waits.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A layer is about to be built.
    Begun {
        /// Whose.
        manager: PackageManager,
        /// What is asked of it.
        specs: &'a [PackageSpec],
    },
    /// Another process builds the layer; this one waits for it.
    Waiting(PackageManager),
    /// A line of the build's output.
    Line(&'a str),
    /// The layer is there now.
    Done {
        /// Whose.
        manager: PackageManager,
        /// It.
        layer: &'a Layer,
    },
    /// The network failed; the build is tried again after this pause.
    Retrying(Duration),
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The package manager refused or failed: what was asked for cannot be had.
    #[error(
        "{manager} could not install the packages: {reason} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Packages {
        /// Whose recipe.
        manager: PackageManager,
        /// The line of its output that says most.
        reason: String,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// The network or a registry failed, again and again.
    #[error(
        "{manager} could not reach what it needs: {reason} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Network {
        /// Whose recipe.
        manager: PackageManager,
        /// The line of its output that says most.
        reason: String,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// The base has no such package manager, and none can be installed: it has no apt, or the builder is not root.
    #[error(
        "this base has no {0}, and it cannot be installed on it here: install it on the base first"
    )]
    NoManager(PackageManager),
    /// The build ran out of something.
    #[error(
        "the {manager} layer ran into the limit of builds on {limit} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Limit {
        /// Whose recipe.
        manager: PackageManager,
        /// On what.
        limit: &'static str,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox of a build.
    #[error("cannot build in a sandbox: {0}")]
    Runtime(#[from] bailiwick_runtime::Error),
    /// The log cannot be written.
    #[error("cannot write the log of a build: {0}")]
    Log(std::io::Error),
}

impl Builder {
    /// The keys of an image's layers, the lowest first; nothing is looked up.
    pub fn keys(&self, packages: &Packages) -> Vec<LayerDigest> {
        self.inputs(packages).iter().map(LayerInputs::key).collect()
    }

    fn inputs(&self, packages: &Packages) -> Vec<LayerInputs> {
        let mut below = Below::Base(self.base.clone());
        let mut all = Vec::new();
        for (manager, specs) in packages.iter().filter(|(_, specs)| !specs.is_empty()) {
            let inputs = LayerInputs {
                organization: self.organization.clone(),
                below,
                architecture: self.architecture.clone(),
                manager: manager.name().to_owned(),
                specs: specs.iter().map(|spec| spec.as_str().to_owned()).collect(),
                recipe: recipe::VERSION,
                registry: self.registry(manager).map(ToString::to_string),
            };
            below = Below::Layer(inputs.key());
            all.push(inputs);
        }
        all
    }

    /// Holds the image, if all of it is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn find(
        &self,
        packages: &Packages,
    ) -> Result<Option<(Vec<LayerDigest>, Held)>, StoreError> {
        let keys = self.keys(packages);
        match self.store.hold(&keys) {
            Ok(held) => Ok(Some((keys, held))),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Builds what is missing of the image, and holds all of it.
    ///
    /// # Errors
    ///
    /// [`BuildError`]. Layers that were finished stay.
    pub async fn build(
        &self,
        packages: &Packages,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Vec<LayerDigest>, Held), BuildError> {
        for _ in 0..TRIES {
            match self.build_once(packages, told).await {
                // A layer was removed after it was looked at and before it was held.
                Err(BuildError::Store(StoreError::Missing { .. })) => {}
                result => return result,
            }
        }
        self.build_once(packages, told).await
    }

    async fn build_once(
        &self,
        packages: &Packages,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Vec<LayerDigest>, Held), BuildError> {
        let mut below = Vec::new();
        for inputs in self.inputs(packages) {
            let key = inputs.key();
            let manager = inputs
                .manager
                .parse()
                .expect("the inputs name a manager that there is");
            let specs = packages.of(manager);
            let layer = self.layer(inputs, manager, specs, &below, told).await?;
            told(Progress::Done {
                manager,
                layer: &layer,
            });
            below.push(key);
        }
        let held = self.store.hold(&below)?;
        Ok((below, held))
    }

    async fn layer(
        &self,
        inputs: LayerInputs,
        manager: PackageManager,
        specs: &[PackageSpec],
        below: &[LayerDigest],
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Layer, BuildError> {
        let mut pauses = PAUSES.iter();
        let mut waits = false;
        loop {
            let draft = match self.store.begin(inputs.clone())? {
                Begin::Ready(layer) => return Ok(layer),
                Begin::Busy => {
                    if !std::mem::replace(&mut waits, true) {
                        told(Progress::Waiting(manager));
                    }
                    sleep(POLL).await;
                    continue;
                }
                Begin::Build(draft) => draft,
            };
            told(Progress::Begun { manager, specs });
            match self.fill(draft, manager, specs, below, told).await {
                Err(BuildError::Network { .. }) if pauses.len() > 0 => {
                    let pause = pauses.next().copied().unwrap_or_default();
                    told(Progress::Retrying(pause));
                    sleep(pause).await;
                }
                result => return result,
            }
        }
    }

    /// Runs the recipe in a sandbox that writes to the draft.
    async fn fill(
        &self,
        draft: Draft,
        manager: PackageManager,
        specs: &[PackageSpec],
        below: &[LayerDigest],
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Layer, BuildError> {
        let started = Instant::now();
        let key = draft.key().clone();
        let mut output = Output {
            log: draft.log()?,
            line: Vec::new(),
            tail: Vec::new(),
            told,
        };
        let Running {
            sandbox,
            mut events,
        } = self
            .runtime
            .start(self.spec(&draft, manager, below))
            .await?;
        let whole = async {
            let result = install(&*sandbox, manager, specs, &mut output).await;
            (result, sandbox.stop(GRACE).await)
        };
        // Side by side: what is not read waits, and the build with it.
        let ((result, stopped), seen) = tokio::join!(whole, watch(&mut events));
        stopped?;
        output.note(&seen.denials).map_err(BuildError::Log)?;
        if seen.stopped == Some(StopReason::Lifetime) {
            draft.abandon()?;
            let limit = "time";
            return Err(BuildError::Limit {
                manager,
                limit,
                key,
            });
        }
        match result? {
            Installation::Done(resolved) => {
                remove_empty_parts(&draft.tree());
                let seconds = started.elapsed().as_secs();
                Ok(draft.commit(resolved, (self.now)(), seconds)?)
            }
            Installation::Failed(status) => {
                let text = String::from_utf8_lossy(&output.tail).into_owned();
                draft.abandon()?;
                Err(failure(manager, status, &text, key))
            }
        }
    }

    fn registry(&self, manager: PackageManager) -> Option<&Registry> {
        self.registries
            .iter()
            .find(|registry| registry.manager == manager)
    }

    fn spec(
        &self,
        draft: &Draft,
        manager: PackageManager,
        below: &[LayerDigest],
    ) -> SandboxSpec<Arc<Policy>> {
        let registry = self.registry(manager);
        let mut spec = SandboxSpec::new((self.sandbox_id)(), Arc::new(policy(manager, registry)));
        spec.image.layers = below.to_vec();
        spec.draft = Some(draft.directory().to_owned());
        spec.directory = "/".into();
        spec.identity = Identity::Root;
        spec.profile = Profile::Build;
        spec.limits.lifetime = Some(limits::BUILD_TIME);
        spec.env = variables(manager);
        spec.env
            .extend(registry.map(Registry::variables).unwrap_or_default());
        spec
    }
}

/// A part of the root that nothing was written to needs no overlay in any sandbox.
fn remove_empty_parts(tree: &Path) {
    let below = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    for part in below(tree) {
        // A directory that is not empty refuses, which is the question.
        for inner in below(&part) {
            let _ = std::fs::remove_dir(inner);
        }
        let _ = std::fs::remove_dir(part);
    }
}

/// Enough of a key's digits to find it.
fn short(key: &LayerDigest) -> &str {
    &key.digits()[..12]
}

/// Exactly the registries of the manager, or the one that is asked instead, and apt's, with which a manager is installed that the base lacks.
fn policy(manager: PackageManager, registry: Option<&Registry>) -> Policy {
    let mut policy = EgressPolicy::limited();
    let public = registry.is_none().then_some(manager);
    let hosts = [Some(PackageManager::Apt), public]
        .into_iter()
        .flatten()
        .flat_map(|manager| registries(manager).iter());
    for entry in hosts {
        if !policy.allowed_hosts.contains(&entry.pattern) {
            policy.allowed_hosts.push(entry.pattern.clone());
        }
    }
    if let Some(registry) = registry {
        policy.allowed_hosts.extend(registry.host().ok().flatten());
        policy.host_ports.extend(registry.host_port());
    }
    let effective = EffectivePolicy {
        policy,
        source: PolicySource::BuiltIn,
    };
    Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    )
}

fn variables(manager: PackageManager) -> BTreeMap<OsString, OsString> {
    let mut variables = BTreeMap::new();
    // Rust is mostly installed in a home directory; what such a toolchain brings along is in the PATH that a sandbox has anyway.
    if manager != PackageManager::Cargo {
        variables.insert("PATH".into(), PATH.into());
    }
    variables
}

enum Installation {
    Done(Vec<ResolvedPackage>),
    Failed(ExitStatus),
}

/// What happened in the sandbox of a build, besides its output.
#[derive(Debug, Default)]
struct Seen {
    /// What of its network was denied: the first of it.
    denials: Vec<String>,
    stopped: Option<StopReason>,
}

/// Reads events until the sandbox is gone.
async fn watch(events: &mut mpsc::Receiver<Event>) -> Seen {
    let mut seen = Seen::default();
    while let Some(event) = events.recv().await {
        match event {
            Event::Flow(flow) => {
                let is_told = flow.verdict == Verdict::Deny;
                if is_told && seen.denials.len() < limits::BUILD_DENIALS {
                    let denial = format!("denied {}: {}", flow.destination, flow.reason.code());
                    seen.denials.push(denial);
                }
            }
            Event::Stopped(reason) => seen.stopped = Some(reason),
            Event::Started | Event::OutOfMemory => {}
        }
    }
    seen
}

async fn install(
    sandbox: &dyn Sandbox<Policy = Arc<Policy>>,
    manager: PackageManager,
    specs: &[PackageSpec],
    output: &mut Output<'_, '_>,
) -> Result<Installation, BuildError> {
    let argv = recipe::command(manager, specs.iter().map(PackageSpec::as_str));
    let execution = sandbox.exec(Command::new(argv)).await?;
    if let Streams::Pipes {
        stdin,
        stdout,
        stderr,
    } = execution.streams
    {
        drop(stdin);
        output.copy(stdout, stderr).await.map_err(BuildError::Log)?;
    }
    let status = execution.control.wait().await?;
    if status != ExitStatus::Exited(0) {
        return Ok(Installation::Failed(status));
    }
    let report = read_report(sandbox).await?;
    Ok(Installation::Done(recipe::installed(&report)))
}

async fn read_report(sandbox: &dyn Sandbox<Policy = Arc<Policy>>) -> Result<String, BuildError> {
    let report = Path::new(recipe::REPORT);
    let bytes = sandbox
        .read_file(report, limits::BUILD_REPORT_BYTES)
        .await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failure(
    manager: PackageManager,
    status: ExitStatus,
    tail: &str,
    key: LayerDigest,
) -> BuildError {
    let reason = reason(tail);
    match status {
        ExitStatus::Exited(recipe::NO_MANAGER) => BuildError::NoManager(manager),
        ExitStatus::OutOfMemory => BuildError::Limit {
            manager,
            limit: "memory",
            key,
        },
        _ if tail.contains("No space left on device") => BuildError::Limit {
            manager,
            limit: "disk space",
            key,
        },
        _ if recipe::is_transient(tail) => BuildError::Network {
            manager,
            reason,
            key,
        },
        ExitStatus::Exited(_) | ExitStatus::Signaled(_) | ExitStatus::TimedOut => {
            BuildError::Packages {
                manager,
                reason,
                key,
            }
        }
    }
}

/// The last line that looks like the reason of a failure, else the last line.
fn reason(tail: &str) -> String {
    let says_why = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("error")
            || line.starts_with("e: ")
            || line.contains("error:")
            || line.contains("err!")
    };
    let lines = || tail.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(says_why)
        .or_else(|| lines().next_back())
        .unwrap_or("it printed nothing")
        .to_owned()
}

/// The output of a build: to its log, line by line to whoever waits, and its end kept.
struct Output<'a, 'b> {
    log: File,
    line: Vec<u8>,
    tail: Vec<u8>,
    told: &'a mut (dyn FnMut(Progress<'_>) + 'b),
}

impl Output<'_, '_> {
    /// Lines of Bailiwick's own, at the end of the log.
    fn note(&mut self, lines: &[String]) -> std::io::Result<()> {
        lines
            .iter()
            .try_for_each(|line| writeln!(self.log, "bailiwick: {line}"))
    }

    async fn copy(
        &mut self,
        mut stdout: ByteSource,
        mut stderr: ByteSource,
    ) -> std::io::Result<()> {
        let (mut out, mut err) = ([0; 8192], [0; 8192]);
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            tokio::select! {
                read = stdout.read(&mut out), if out_open => {
                    let length = read?;
                    out_open = length > 0;
                    self.take(&out[..length])?;
                }
                read = stderr.read(&mut err), if err_open => {
                    let length = read?;
                    err_open = length > 0;
                    self.take(&err[..length])?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.log.write_all(bytes)?;
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    if !line.is_empty() {
                        (self.told)(Progress::Line(&String::from_utf8_lossy(&line)));
                    }
                }
                _ if self.line.len() < limits::BUILD_LINE_BYTES => self.line.push(*byte),
                _ => {}
            }
        }
        Ok(())
    }
}

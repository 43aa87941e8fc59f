//! The backend under test.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::Egress;
use bailiwick_local::{
    HostSettings, HostedRuntime, LocalOptions, LocalRuntime, StateDirectory, Surroundings,
    host_facts,
};
use bailiwick_model::SandboxId;
use bailiwick_policy::{
    EgressPolicy, InForce, OrganizationFloor, Policy, SessionGrants, effective,
};
use bailiwick_runtime::conformance::Harness;
use bailiwick_runtime::{Command, ExitStatus, Running, Runtime, SandboxSpec, Streams};
use rustix::process::DumpableBehavior;
use rustix::thread::{Gid, Uid};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

const LAYERS: &str = "layers";
const SNAPSHOT: &str = "snapshot";
/// A user without a name, groups or subordinate ids.
const ORDINARY: u32 = 12345;

/// A runtime over a state directory of its own.
pub(crate) struct Local {
    runtime: Arc<dyn Runtime<Policy = InForce>>,
    /// The same, where it is one with hosts.
    hosts: Option<HostedRuntime>,
    state: State,
}

/// A state directory.
enum State {
    Own(TempDir),
    Shared(PathBuf),
}

impl State {
    fn path(&self) -> &Path {
        match self {
            Self::Own(directory) => directory.path(),
            Self::Shared(path) => path,
        }
    }
}

impl Local {
    pub(crate) fn new() -> Self {
        Self::of_one(State::Own(tempfile::tempdir().expect("a directory")))
    }

    fn of_one(state: State) -> Self {
        let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
        let options = LocalOptions {
            state: StateDirectory::open(state.path().to_owned()).expect("a state directory"),
            egress: Arc::new(Egress::new(Arc::new(Dialer::new(DialOptions::new(facts))))),
            layers: state.path().join(LAYERS),
            checkpoints: None,
            repositories: state.path().join("repositories"),
            snapshot: Some(state.path().join(SNAPSHOT)),
            surroundings: Surroundings::default(),
            certificates: None,
            now: || 0,
        };
        let runtime = Arc::new(LocalRuntime::new(options).expect("a runtime"));
        Self {
            runtime,
            hosts: None,
            state,
        }
    }

    /// Two hosts.
    pub(crate) fn hosted() -> Self {
        Self::of_hosts(State::Own(tempfile::tempdir().expect("a directory")), &[])
    }

    /// The same in a state directory that is somebody else's to remove.
    pub(crate) fn hosted_in(state: PathBuf) -> Self {
        Self::of_hosts(State::Shared(state), &[])
    }

    /// More hosts, for which a name leads to an address.
    pub(crate) fn with_pin(&self, pin: &str) -> Self {
        Self::of_hosts(State::Shared(self.state().to_owned()), &[pin.to_owned()])
    }

    /// Another backend over the same state, as after a restart.
    pub(crate) fn once_more(&self) -> Self {
        let state = State::Shared(self.state().to_owned());
        match self.hosts {
            Some(_) => Self::of_hosts(state, &[]),
            None => Self::of_one(state),
        }
    }

    fn of_hosts(state: State, pins: &[String]) -> Self {
        let path = state.path();
        let directory = StateDirectory::open(path.to_owned()).expect("a state directory");
        let settings = HostSettings {
            layers: path.join(LAYERS),
            repositories: path.join("repositories"),
            snapshot: Some(path.join(SNAPSHOT)),
            pins: pins.to_owned(),
            ..HostSettings::new(&directory)
        };
        let two = NonZeroUsize::new(2).expect("two");
        let hosts = HostedRuntime::new(settings, two).expect("a runtime");
        Self {
            runtime: Arc::new(hosts.clone()),
            hosts: Some(hosts),
            state,
        }
    }

    /// Ends the hosts, where there are any.
    pub(crate) async fn end(&self) {
        if let Some(hosts) = &self.hosts {
            hosts.shut_down().await;
        }
    }

    /// Where it keeps its state.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// A spec with a fresh id that starts in /tmp.
    pub(crate) fn spec(&self) -> SandboxSpec<InForce> {
        let mut bits = [0; 8];
        rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty()).expect("bits");
        let id = SandboxId::from_random(u64::from_ne_bytes(bits));
        let mut spec = SandboxSpec::new(id, self.policy());
        spec.directory = "/tmp".into();
        spec
    }

    pub(crate) async fn start(&self, spec: SandboxSpec<InForce>) -> Running<InForce> {
        self.runtime.start(spec).await.expect("a sandbox starts")
    }

    /// Where layers are; there is a snapshot of the host from now on.
    pub(crate) fn layers(&self) -> PathBuf {
        let snapshot = self.state.path().join(SNAPSHOT);
        if !snapshot.exists() {
            std::fs::create_dir(&snapshot).expect("a directory");
            bailiwick_local::snapshot(&snapshot).expect("a snapshot");
        }
        self.state.path().join(LAYERS)
    }

    /// Fails the test that leaves an entry of a sandbox.
    pub(crate) fn expect_nothing_left(&self) {
        let sandboxes = std::fs::read_dir(self.state.path().join("sandboxes"));
        let left: Vec<_> = sandboxes.into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Harness for Local {
    type Policy = InForce;

    fn runtime(&self) -> Arc<dyn Runtime<Policy = InForce>> {
        Arc::clone(&self.runtime)
    }

    fn policy(&self) -> InForce {
        let policy = effective(None, Some(EgressPolicy::limited()));
        let (floor, grants) = (OrganizationFloor::empty(), SessionGrants::none());
        Arc::new(Policy::compile(policy, &floor, &grants)).into()
    }
}

/// A policy that allows one name and denies everything else.
pub(crate) fn policy_that_allows(name: &str) -> InForce {
    let policy = EgressPolicy {
        allowed_hosts: vec![name.parse().expect("a rule")],
        ..EgressPolicy::limited()
    };
    let (floor, grants) = (OrganizationFloor::empty(), SessionGrants::none());
    Arc::new(Policy::compile(
        effective(None, Some(policy)),
        &floor,
        &grants,
    ))
    .into()
}

/// A program that was just started has not run yet; one that says so has done what the test counts on.
pub(crate) async fn until_ready(running: &Running<InForce>) {
    while !is_ready(running).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a program has said so.
pub(crate) async fn is_ready(running: &Running<InForce>) -> bool {
    let ready = Path::new("/tmp/ready");
    running.sandbox.read_file(ready, 10).await.is_ok()
}

/// Runs a shell script to its end; what it printed and complained, as text.
pub(crate) async fn shell(running: &Running<InForce>, script: &str) -> (ExitStatus, String) {
    run(running, Command::new(["sh", "-c", script])).await
}

pub(crate) async fn run(running: &Running<InForce>, command: Command) -> (ExitStatus, String) {
    let execution = running.sandbox.exec(command).await.expect("it starts");
    let mut printed = Vec::new();
    match execution.streams {
        Streams::Pipes {
            mut stdout,
            mut stderr,
            ..
        } => {
            stdout.read_to_end(&mut printed).await.expect("its output");
            stderr.read_to_end(&mut printed).await.expect("its errors");
        }
        Streams::Terminal { mut output, input } => {
            output.read_to_end(&mut printed).await.expect("its screen");
            drop(input);
        }
    }
    let status = execution.control.wait().await.expect("a status");
    (status, String::from_utf8_lossy(&printed).into_owned())
}

/// Gives up being root, for the whole process, which has one thread.
pub(crate) fn become_ordinary_user() {
    let (uid, gid) = (Uid::from_raw(ORDINARY), Gid::from_raw(ORDINARY));
    rustix::thread::set_thread_groups(&[]).expect("no groups");
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("another group");
    rustix::thread::set_thread_res_uid(uid, uid, uid).expect("another user");
    // As after the execve(2) of a login: else /proc/PID/uid_map of a child is not ours.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).expect("prctl");
    rustix::process::chdir(Path::new("/")).expect("the root directory");
}

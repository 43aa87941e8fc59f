//! Sandboxes of this machine, and the tools in them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::Egress;
use bailiwick_local::{LocalOptions, LocalRuntime, StateDirectory, Surroundings, host_facts};
use bailiwick_model::SandboxId;
use bailiwick_policy::{
    EgressPolicy, InForce, OrganizationFloor, Policy, SessionGrants, effective,
};
use bailiwick_runtime::{Runtime, Sandbox, SandboxSpec};
use bailiwick_tools::{Context, Denials, Options, ToolResult, Toolset};
use rustix::process::DumpableBehavior;
use rustix::thread::{Gid, Uid};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// A user without a name, groups or subordinate ids.
const ORDINARY: u32 = 12345;
const GRACE: Duration = Duration::from_millis(100);

/// A runtime over a state directory of its own.
pub(crate) struct Local {
    runtime: LocalRuntime,
    state: TempDir,
}

/// A sandbox with tools in it.
pub(crate) struct Session {
    pub(crate) sandbox: Arc<dyn Sandbox<Policy = InForce>>,
    pub(crate) tools: Toolset,
}

impl Local {
    pub(crate) fn new() -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
        let options = LocalOptions {
            state: StateDirectory::open(state.path().to_owned()).expect("a state directory"),
            egress: Arc::new(Egress::new(Arc::new(Dialer::new(DialOptions::new(facts))))),
            layers: state.path().join("layers"),
            checkpoints: None,
            repositories: state.path().join("repositories"),
            snapshot: None,
            surroundings: Surroundings::default(),
            certificates: None,
            now: || 0,
        };
        let runtime = LocalRuntime::new(options).expect("a runtime");
        Self { runtime, state }
    }

    /// A spec with a fresh id, of an environment that may reach nothing.
    pub(crate) fn spec(&self) -> SandboxSpec<InForce> {
        let mut bits = [0; 8];
        rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty()).expect("bits");
        let id = SandboxId::from_random(u64::from_ne_bytes(bits));
        let policy = effective(None, Some(EgressPolicy::limited()));
        let (floor, grants) = (OrganizationFloor::empty(), SessionGrants::none());
        let policy = Arc::new(Policy::compile(policy, &floor, &grants));
        let mut spec = SandboxSpec::new(id, policy.into());
        spec.environment = Some("payments".parse().expect("a name"));
        spec
    }

    pub(crate) async fn session(&self) -> Session {
        self.session_of(self.spec(), |_| {}).await
    }

    pub(crate) async fn session_of(
        &self,
        spec: SandboxSpec<InForce>,
        adjust: impl FnOnce(&mut Options),
    ) -> Session {
        let mut running = self.runtime.start(spec).await.expect("a sandbox starts");
        let denials = Arc::new(Denials::default());
        let noted = Arc::clone(&denials);
        tokio::spawn(async move {
            while let Some(event) = running.events.recv().await {
                noted.hear(&event);
            }
        });
        let mut options = Options::new("/workspace");
        options.denials = denials;
        adjust(&mut options);
        Session {
            tools: Toolset::new(Arc::clone(&running.sandbox), options),
            sandbox: running.sandbox,
        }
    }

    /// Fails the test that leaves an entry of a sandbox.
    pub(crate) fn expect_nothing_left(&self) {
        let sandboxes = std::fs::read_dir(self.state.path().join("sandboxes"));
        let left: Vec<_> = sandboxes.into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Session {
    pub(crate) async fn call(&self, name: &str, input: Value) -> ToolResult {
        let result = self.tools.call(name, input, &Context::default()).await;
        result.expect("a result")
    }

    pub(crate) async fn bash(&self, command: &str) -> ToolResult {
        self.call("bash", json!({ "command": command })).await
    }

    /// What a command prints that is expected to succeed.
    pub(crate) async fn prints(&self, command: &str) -> String {
        let result = self.bash(command).await;
        assert!(!result.is_error, "{command}: {}", result.as_text());
        result.as_text()
    }

    /// Ends a command after so many milliseconds, and says how long that took.
    pub(crate) async fn within(&self, command: &str, ms: u64) -> (ToolResult, Duration) {
        let begun = Instant::now();
        let input = json!({"command": command, "timeout_ms": ms});
        let result = self.call("bash", input).await;
        (result, begun.elapsed())
    }

    pub(crate) async fn read(&self, path: &str) -> Vec<u8> {
        let read = self.sandbox.read_file(Path::new(path), 1 << 24).await;
        read.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The arguments of every process inside, one a line, as another program sees them.
    pub(crate) async fn processes(&self) -> String {
        let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null";
        let command = bailiwick_runtime::Command::new(["sh", "-c", script]);
        let execution = self.sandbox.exec(command).await.expect("it starts");
        let bailiwick_runtime::Streams::Pipes { mut stdout, .. } = execution.streams else {
            panic!("no pipes")
        };
        let mut printed = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut printed)
            .await
            .expect("its output");
        printed
    }

    /// Waits until no process has `part` among its arguments.
    pub(crate) async fn until_gone(&self, part: &str) {
        for _ in 0..100 {
            if !self.processes().await.contains(part) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{part} still runs:\n{}", self.processes().await);
    }

    pub(crate) async fn stop(self) {
        self.sandbox.stop(GRACE).await.expect("it stops");
    }
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

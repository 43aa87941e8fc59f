//! The `bailiwick` command, as somebody would type it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_model::Flow;
use tempfile::TempDir;

use crate::User;
use crate::process::{Child, command};

/// No command of a test takes longer, be the machine as busy as it is, unless it says so.
const PATIENCE: Duration = Duration::from_secs(180);
/// What Bailiwick may read of the environment, besides HOME and the XDG directories.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The `bailiwick` binary, run by one user with a home and a work directory of their own, which go when this is dropped.
#[derive(Debug)]
pub struct Bailiwick {
    binary: PathBuf,
    user: User,
    root: TempDir,
}

impl Bailiwick {
    /// Run by `user`; `binary` is `env!("CARGO_BIN_EXE_bailiwick")` in the tests of the crate that makes it.
    pub fn new(binary: impl Into<PathBuf>, user: User) -> Self {
        let root = tempfile::Builder::new()
            .prefix("bailiwick-test-")
            .tempdir()
            .expect("a temporary directory");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let this = Self {
            binary: binary.into(),
            user,
            root,
        };
        for directory in [this.home(), this.workspace()] {
            fs::create_dir(&directory).expect("a directory");
            user.own(&directory);
        }
        this
    }

    /// One for each way in which Bailiwick runs here: as root and as ordinary users without and with subordinate ids if root runs the test,
    /// else as whoever does.
    pub fn each(binary: impl Into<PathBuf>) -> Vec<Self> {
        let binary = binary.into();
        let mut users = vec![User::current(), User::ordinary()];
        users.dedup();
        if User::current().is_root() {
            users.extend(User::with_subordinate_ids());
        }
        users
            .into_iter()
            .map(|user| Self::new(&binary, user))
            .collect()
    }

    /// Who runs it.
    pub fn user(&self) -> User {
        self.user
    }

    /// The user's home, which is not the work directory.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The directory in which it is started.
    pub fn workspace(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Where the entries of running sandboxes are: give it to [`LeakCheck::watch_directory`](crate::LeakCheck::watch_directory). Root's
    /// are those of the whole machine.
    pub fn sandboxes(&self) -> PathBuf {
        self.kept().join("sandboxes")
    }

    /// Where images are kept; root's are those of the whole machine.
    pub fn images(&self) -> PathBuf {
        self.kept().join("images")
    }

    /// Where servers keep what they hand to sandboxes; root's are those of the whole machine.
    pub fn servers(&self) -> PathBuf {
        self.kept().join("servers")
    }

    fn kept(&self) -> PathBuf {
        let state = if self.user.is_root() {
            PathBuf::from("/var/lib")
        } else {
            self.state()
        };
        state.join("bailiwick")
    }

    fn state(&self) -> PathBuf {
        self.home().join(".local/state")
    }

    /// Writes a file of the user's: relative to the work directory, or anywhere. Directories above it are made.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.workspace().join(path);
        let mut missing: Vec<_> = path
            .ancestors()
            .skip(1)
            .take_while(|above| !above.exists())
            .collect();
        missing.reverse();
        for directory in missing {
            fs::create_dir(directory).expect("a directory");
            self.user.own(directory);
        }
        fs::write(&path, contents)
            .unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        self.user.own(&path);
        path
    }

    /// `bailiwick` with these arguments, in the work directory and with a clean environment, ready to be changed further.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.program(&self.binary);
        command.args(arguments);
        command
    }

    /// A shell with this script, which finds `bailiwick` as a person's shell does; otherwise as [`Self::command`].
    pub fn shell(&self, script: &str) -> Command {
        let directory = self.binary.parent().expect("a program is in a directory");
        let mut command = self.program(Path::new("/bin/sh"));
        command
            .args(["-c", script])
            .env("PATH", format!("{}:{PATH}", directory.display()));
        command
    }

    fn program(&self, program: &Path) -> Command {
        let mut command = command(program, self.user);
        command
            .current_dir(self.workspace())
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.home());
        command
            .env("XDG_STATE_HOME", self.state())
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// Runs `bailiwick` with these arguments to its end.
    pub fn execute(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        finish(&mut self.command(arguments), PATIENCE, Vec::new)
    }

    /// `bailiwick run`.
    pub fn run(&self) -> Run<'_> {
        Run {
            bailiwick: self,
            options: Vec::new(),
            variables: Vec::new(),
            patience: PATIENCE,
        }
    }
}

/// `bailiwick run`, before its command.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `command` or `start`"]
pub struct Run<'a> {
    bailiwick: &'a Bailiwick,
    options: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    patience: Duration,
}

impl Run<'_> {
    /// `-f`, with an environment file of this text, which lies outside the work directory.
    pub fn environment(self, text: &str) -> Self {
        let path = self.bailiwick.home().join("environment.yaml");
        // A run that was started just before may be about to read it.
        if !fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            self.bailiwick.write(&path, text);
        }
        self.option("-f").option(path)
    }

    /// `-f`, with `limited` networking that allows exactly these hosts.
    pub fn allowing(self, hosts: &[&str]) -> Self {
        let hosts = serde_json::to_string(hosts).expect("JSON, which is YAML");
        self.environment(&format!(
            "name: test\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_hosts: {hosts}\n"
        ))
    }

    /// `--resolve NAME=ADDRESS:PORT`: the name is that server, on the server's own port and no other.
    pub fn resolve(self, name: &str, server: SocketAddr) -> Self {
        self.option("--resolve").option(format!("{name}={server}"))
    }

    /// Any option, or the value of one.
    pub fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    /// A variable of the host's environment, which Bailiwick sees and the command should not.
    pub fn host_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// How long it may take, if not 180 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs a command to its end; flows are read from `--flows`.
    pub fn command(self, argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        let flows = self.bailiwick.home().join("flows.jsonl");
        let _ = fs::remove_file(&flows);
        let patience = self.patience;
        let mut command = self.option("--flows").option(&flows).prepared(argv);
        finish(&mut command, patience, || read_flows(&flows))
    }

    /// Runs a script of `sh` to its end.
    pub fn script(self, script: &str) -> Outcome {
        self.command(["sh", "-c", script])
    }

    /// Starts a command, which the test then watches.
    pub fn start(self, argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
        Child::start(&mut self.prepared(argv))
    }

    /// The whole command line, for a test that starts it in its own way, such as on a terminal.
    pub fn prepared(self, argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.bailiwick.command(["run"]);
        command
            .args(self.options)
            .arg("--")
            .args(argv)
            .envs(self.variables);
        command
    }
}

/// How a run of `bailiwick` ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; 128 and the signal's number if it was killed.
    pub code: i32,
    /// What was printed.
    pub stdout: String,
    /// What was complained: the command's, then the summary.
    pub stderr: String,
    /// The flows, of `run`.
    pub flows: Vec<Flow>,
    /// How long it took.
    pub duration: Duration,
}

impl Outcome {
    /// Requires exit code 0.
    ///
    /// # Panics
    ///
    /// With all that is known, when it was another one.
    #[track_caller]
    pub fn success(self) -> Self {
        self.exits(0)
    }

    /// Requires an exit code.
    ///
    /// # Panics
    ///
    /// With all that is known, when it was another one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.stdout, self.stderr
        );
        self
    }

    /// The flows to a destination, as flows print it (`example.com:443`; a DNS question has no port).
    pub fn flows_to(&self, destination: &str) -> Vec<&Flow> {
        self.flows
            .iter()
            .filter(|flow| flow.destination.to_string() == destination)
            .collect()
    }
}

fn finish(command: &mut Command, patience: Duration, flows: impl FnOnce() -> Vec<Flow>) -> Outcome {
    let begun = Instant::now();
    let mut child = Child::start(command);
    let code = child.wait(patience);
    Outcome {
        code,
        stdout: child.printed(),
        stderr: child.complained(),
        flows: flows(),
        duration: begun.elapsed(),
    }
}

fn read_flows(path: &Path) -> Vec<Flow> {
    let Ok(text) = fs::read_to_string(path) else {
        return Vec::new();
    };
    let flow = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("not a flow: {line}: {e}"))
    };
    text.lines().map(flow).collect()
}

//! What the attacks share: who runs them, how a probe is run inside and outside, and what it told.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_model::{Reason, Verdict};
use bailiwick_testkit::{Bailiwick, Outcome, Run, User};

/// The interpreter of probes: the distribution's, which is in every sandbox.
pub(crate) const PYTHON: &str = "/usr/bin/python3";
const PRELUDE: &str = include_str!("probe/prelude.py");
/// No attack takes longer, unless it says so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// `bailiwick` for each user who can run it here. A user that is missing is said, and CI runs as root, where none is.
pub(crate) fn everyone() -> Vec<Bailiwick> {
    if !User::current().is_root() {
        eprintln!("skipped as root: this test runs as an ordinary user");
    }
    Bailiwick::each(env!("CARGO_BIN_EXE_bailiwick"))
}

/// Every user, and each both as the agent and as uid 0 inside; the words are options of `run`.
pub(crate) fn everyone_as_anyone() -> impl Iterator<Item = (Bailiwick, &'static [&'static str])> {
    let as_agent = everyone().into_iter().map(|one| (one, &[] as &[&str]));
    as_agent.chain(
        everyone()
            .into_iter()
            .map(|one| (one, &["--root"] as &[&str])),
    )
}

/// `bailiwick run` as the agent or as root inside, as [`everyone_as_anyone`] has it.
pub(crate) fn run_as<'a>(bailiwick: &'a Bailiwick, options: &[&str]) -> Run<'a> {
    with_options(bailiwick.run(), options)
}

/// The same run with more options.
pub(crate) fn with_options<'a>(run: Run<'a>, options: &[&str]) -> Run<'a> {
    options.iter().fold(run, Run::option)
}

/// What a probe told: the answer to each of its questions.
pub(crate) struct Told {
    answers: BTreeMap<String, String>,
    pub(crate) outcome: Option<Outcome>,
}

/// Runs a probe in a sandbox. The run must end well.
#[track_caller]
pub(crate) fn inside(run: Run<'_>, probe: &str) -> Told {
    let outcome = run
        .patience(PATIENCE)
        .command([PYTHON, "-c", &with_prelude(probe)])
        .success();
    Told {
        answers: answers(&outcome.stdout),
        outcome: Some(outcome),
    }
}

/// Runs the same probe on the host, by the same user, in the work directory.
#[track_caller]
pub(crate) fn outside(bailiwick: &Bailiwick, probe: &str) -> Told {
    let mut python = host_command(PYTHON, bailiwick.user());
    let output = python
        .args(["-c", &with_prelude(probe)])
        .current_dir(bailiwick.workspace())
        .output()
        .expect("Python");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the control failed: {complaint}");
    Told {
        answers: answers(&String::from_utf8_lossy(&output.stdout)),
        outcome: None,
    }
}

/// A probe as one program.
pub(crate) fn with_prelude(probe: &str) -> String {
    // Probes are indented with the test that they belong to.
    let lines = || probe.lines().filter(|line| !line.trim().is_empty());
    let indent = lines()
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let body: String = lines()
        .map(|line| format!("{}\n", &line[indent..]))
        .collect();
    format!("{PRELUDE}\n{body}")
}

/// Reads what a probe printed.
pub(crate) fn told(printed: &str) -> Told {
    Told {
        answers: answers(printed),
        outcome: None,
    }
}

fn answers(printed: &str) -> BTreeMap<String, String> {
    let answer = |line: &str| {
        line.split_once('\t')
            .map(|(name, answer)| (name.to_owned(), answer.to_owned()))
    };
    printed.lines().filter_map(answer).collect()
}

/// A command on the host, run by this user.
pub(crate) fn host_command(program: &str, user: User) -> Command {
    use std::os::unix::process::CommandExt;
    #[expect(
        clippy::disallowed_methods,
        reason = "controls run on the host, beside the product"
    )]
    let mut command = Command::new(program);
    if user != User::current() {
        command.uid(user.uid).gid(user.gid);
    }
    command.stdin(Stdio::null());
    command
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flows = self.outcome.iter().flat_map(|outcome| &outcome.flows);
        let flows = flows.map(|flow| format!("{} {}", flow.destination, flow.reason));
        f.debug_struct("Told")
            .field("answers", &self.answers)
            .field("flows", &flows.collect::<Vec<_>>())
            .finish()
    }
}

impl Told {
    /// The answer to one question.
    #[track_caller]
    pub(crate) fn answer(&self, name: &str) -> &str {
        self.answers
            .get(name)
            .unwrap_or_else(|| panic!("the probe did not tell {name}: {self:#?}"))
    }

    /// The names of all questions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.answers.keys().map(String::as_str)
    }

    /// Requires that something worked.
    #[track_caller]
    pub(crate) fn worked(&self, name: &str) -> &Self {
        let answer = self.answer(name);
        assert!(
            answer.starts_with("ok"),
            "{name} did not work: {answer}\n{self:#?}"
        );
        self
    }

    /// Requires this answer.
    #[track_caller]
    pub(crate) fn said(&self, name: &str, answer: &str) -> &Self {
        assert_eq!(self.answer(name), answer, "{name}\n{self:#?}");
        self
    }

    /// Requires that something failed, with one of these errors.
    #[track_caller]
    pub(crate) fn failed(&self, name: &str, errors: &[&str]) -> &Self {
        let answer = self.answer(name);
        assert!(
            errors.contains(&answer),
            "{name}: {answer} is none of {errors:?}\n{self:#?}"
        );
        self
    }

    /// Requires that every question but these failed, with one of these errors.
    #[track_caller]
    pub(crate) fn all_failed_but(&self, controls: &[&str], errors: &[&str]) -> &Self {
        for name in self.names().filter(|name| !controls.contains(name)) {
            self.failed(name, errors);
        }
        self
    }

    /// Requires that a destination was denied, and for this reason.
    #[track_caller]
    pub(crate) fn denied(&self, destination: &str, reason: Reason) -> &Self {
        let outcome = self.outcome.as_ref().expect("it ran inside");
        let flows = outcome.flows_to(destination);
        let denied = flows
            .iter()
            .any(|flow| flow.verdict == Verdict::Deny && flow.reason == reason);
        let allowed = flows.iter().any(|flow| flow.verdict == Verdict::Allow);
        assert!(
            denied && !allowed,
            "{destination} was not denied for {reason}: {:#?}",
            outcome.flows
        );
        self
    }
}

/// How a refused connection ends for a program inside: at once, with an error or without a byte.
pub(crate) const REFUSED: &[&str] = &[
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EACCES",
    "EPIPE",
    "ok 403",
    "gaierror",
    "EADDRNOTAVAIL",
    "EINVAL",
];

/// An address of this machine that is not loopback: of the interface that a packet to the outside would leave from. Nothing is sent.
pub(crate) fn host_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket
        .connect("192.0.2.1:9")
        .or_else(|_| socket.connect("198.51.100.1:9"))
        .ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A connection of the test's own to a server of the test's own.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test is not the product, and stays on loopback"
    )]
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

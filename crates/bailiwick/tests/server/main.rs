//! `bailiwick up`, and the commands that ask it, as people and scripts use them. Needs nothing.

mod apply;
mod audit_log;
mod backup;
mod client;
mod commands;
mod contents;
mod deploy;
mod few_files;
mod guides;
#[cfg(feature = "system-tests")]
mod hosted;
mod knowledge;
mod logs;
#[cfg(feature = "system-tests")]
mod mcp_gateways;
#[cfg(feature = "system-tests")]
mod provisioning;
mod resources;
mod sessions;
mod spending;
#[cfg(feature = "system-tests")]
mod tightening;
#[cfg(feature = "system-tests")]
mod work;
#[cfg(feature = "system-tests")]
mod worker;

use std::process::Command;
use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Child, User};

const PATIENCE: Duration = Duration::from_secs(60);

/// A machine on which nothing was started yet.
fn machine() -> Bailiwick {
    Bailiwick::new(env!("CARGO_BIN_EXE_bailiwick"), User::current())
}

/// A server that runs.
struct Up {
    process: Child,
    url: String,
    /// The administrator's, if this was the first start.
    key: String,
}

/// How a command ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Up {
    /// Its data is in the machine's `data`.
    fn start(machine: &Bailiwick, options: &[&str]) -> Self {
        Self::start_with(machine, options, &[])
    }

    fn start_with(machine: &Bailiwick, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = machine.command(["up"]);
        if !options.contains(&"--database-url") {
            command.args(["--data", "data"]);
        }
        if !options.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(options).envs(variables.iter().copied());
        let process = Child::start(&mut command);
        let url = process.wait_for("where it listens", |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let key = |line: &str| Some(line.split_once("shown this once: ")?.1.to_owned());
        let key = process.printed().lines().find_map(key).unwrap_or_default();
        Self { process, url, key }
    }

    /// Ends it, as an operator would.
    fn stop(mut self) {
        self.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.process.wait(PATIENCE), 0);
    }

    /// A command that asks this server, as its administrator.
    fn command(&self, machine: &Bailiwick, arguments: &[&str]) -> Command {
        let mut command = machine.command(arguments);
        self.is_asked_by(&mut command);
        command
    }

    fn is_asked_by(&self, command: &mut Command) {
        command
            .env("BAILIWICK_SERVER", &self.url)
            .env("BAILIWICK_API_KEY", &self.key);
    }

    fn asks(&self, machine: &Bailiwick, arguments: &[&str]) -> Ended {
        finish(&mut self.command(machine, arguments))
    }

    /// A command that must succeed, and what it printed.
    #[track_caller]
    fn does(&self, machine: &Bailiwick, arguments: &[&str]) -> String {
        self.asks(machine, arguments).exits(0).stdout
    }

    /// As [`Self::does`], read as JSON.
    #[track_caller]
    fn json(&self, machine: &Bailiwick, arguments: &[&str]) -> serde_json::Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        serde_json::from_str(&self.does(machine, &arguments)).expect("JSON")
    }
}

impl Ended {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(
            self.code, code,
            "\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
        self
    }
}

fn finish(command: &mut Command) -> Ended {
    let mut child = Child::start(command);
    let code = child.wait(PATIENCE);
    Ended {
        code,
        stdout: child.printed(),
        stderr: child.complained(),
    }
}

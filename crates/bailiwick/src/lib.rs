//! The programs: read the command line, dispatch to one file per command, and turn results into exit codes.
//!
//! There are two. `bailiwick` is what people type, and what stands between them and a sandbox: a program is loaded faster the less there is of
//! it, so it has no HTTP in it. `bailiwick-server` is the server and whatever speaks HTTP: what asks a server, and what pulls images inside a
//! sandbox. `bailiwick` understands the commands for it, and becomes it.

mod attached;
mod bad_input;
mod client;
mod clock;
mod command;
mod credential;
mod database;
mod database_lock;
mod environment_source;
mod exit;
mod flow_log;
mod host_environment;
mod images;
mod input;
mod lock_source;
mod log;
mod output;
mod project;
mod server;
mod sibling;
mod state;
mod stdio;
mod summary;
mod target;
mod telemetry;

mod value;

use std::process::ExitCode;

use clap::Parser;

use crate::command::CommandLine;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::server::ServerCommandLine;

/// `bailiwick`.
pub fn run() -> ExitCode {
    let command_line = CommandLine::read();
    ended(|host| command_line.execute(host))
}

/// `bailiwick-server`, with the arguments of the commands of `bailiwick` that it does.
///
/// It is also the sandbox hosts of a server, and what reads one PDF document: which of them is settled first, while there is one thread.
pub fn run_server() -> ExitCode {
    if let Some(code) = bailiwick_local::serve_if_host(clock::now_seconds) {
        return code;
    }
    if let Some(code) = server::serve_if_pdf() {
        return code;
    }
    let command_line = ServerCommandLine::parse();
    ended(|host| server::execute(command_line, host))
}

fn ended(execute: impl FnOnce(&HostEnvironment) -> anyhow::Result<ExitCode>) -> ExitCode {
    let host = HostEnvironment::read();
    match execute(&host) {
        Ok(code) => code,
        Err(error) => {
            output::print_error(&error, &host);
            Exit::of_error(&error).into()
        }
    }
}

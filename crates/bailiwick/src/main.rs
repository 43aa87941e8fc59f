//! The program `bailiwick`: reads the command line, dispatches to one file per command, and turns results into exit codes.

mod attached;
mod bad_input;
mod client;
mod clock;
mod command;
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
mod state;
mod stdio;
mod summary;
mod value;

use std::process::ExitCode;

use clap::Parser;

use crate::command::CommandLine;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let host = HostEnvironment::read();
    match command_line.execute(&host) {
        Ok(code) => code,
        Err(error) => {
            output::print_error(&error, &host);
            Exit::of_error(&error).into()
        }
    }
}

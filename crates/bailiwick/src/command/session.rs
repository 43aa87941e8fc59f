//! `bailiwick session`.

mod archive;
mod delete;
mod get;
mod list;
mod tighten;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in sessions.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("TITLE", "/title"),
    ("STATUS", "/status"),
    ("AGENT", "/agent/name"),
    ("ENVIRONMENT", "/environment_id"),
    ("CREATED", "/created_at"),
];

/// Sessions of a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Arguments),
    Get(get::Arguments),
    Archive(archive::Arguments),
    Delete(delete::Arguments),
    Tighten(tighten::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Archive(arguments) => archive::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Tighten(arguments) => tighten::execute(&arguments, host),
    }
}

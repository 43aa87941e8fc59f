//! `bailiwick file`.

mod delete;
mod download;
mod get;
mod list;
mod upload;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in files.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/filename"),
    ("TYPE", "/mime_type"),
    ("BYTES", "/size_bytes"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("SESSION", "/scope/id"),
];

/// Files of a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Upload(upload::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Download(download::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Upload(arguments) => upload::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Download(arguments) => download::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

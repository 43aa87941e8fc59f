//! `bailiwick knowledge-connector`.

mod cancel;
mod create;
mod delete;
mod documents;
mod get;
mod list;
mod source;
mod sync;
mod update;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in connectors.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("TYPE", "/source/type"),
    ("ENVIRONMENT", "/environment_id"),
    ("DOCUMENTS", "/documents"),
    ("SYNC", "/sync/state"),
    ("FAILED", "/sync/counts/failed"),
    ("ENDED", "/sync/ended_at"),
];

/// Knowledge connectors: sources of documents that agents of an environment search.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(Box<create::Arguments>),
    List(list::Arguments),
    Get(get::Arguments),
    Update(Box<update::Arguments>),
    Sync(sync::Arguments),
    Cancel(cancel::Arguments),
    Documents(documents::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Sync(arguments) => sync::execute(&arguments, host),
        Command::Cancel(arguments) => cancel::execute(&arguments, host),
        Command::Documents(arguments) => documents::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

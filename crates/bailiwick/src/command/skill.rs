//! `bailiwick skill`.

mod bundle;
mod create;
mod delete;
mod download;
mod get;
mod list;
mod update;
mod versions;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in skills.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/display_name"),
    ("LATEST", "/latest_version_id"),
    ("CREATED", "/created_at"),
    ("UPDATED", "/updated_at"),
];

/// What people look for in versions of a skill.
const VERSION_COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("DESCRIPTION", "/description"),
    ("CREATED", "/created_at"),
];

/// The newest version.
const LATEST: &str = "latest";

/// Skills of a server, and their versions.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Update(update::Arguments),
    Versions(versions::Arguments),
    Download(download::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Versions(arguments) => versions::execute(&arguments, host),
        Command::Download(arguments) => download::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

//! `bailiwick role`.

mod create;
mod delete;
mod list;
mod update;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in roles.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("PREDEFINED", "/predefined"),
    ("PERMISSIONS", "/permissions"),
];

/// Roles: what members and service accounts may do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Update(update::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

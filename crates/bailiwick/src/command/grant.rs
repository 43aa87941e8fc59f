//! `bailiwick grant`.

mod create;
mod delete;
mod list;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in grants.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("ENVIRONMENT", "/environment_id"),
    ("MEMBER", "/user_id"),
    ("TEAM", "/team_id"),
];

/// Rights to deploy to one restricted environment.
///
/// Who has one may assign agents and sessions to that environment, whatever their role says.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

//! `bailiwick service-account`.

mod create;
mod delete;
mod key;
mod list;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in service accounts.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("ROLE", "/role_id"),
    ("CREATED", "/created_at"),
];

/// Service accounts: machines that have a role and keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Delete(delete::Arguments),
    #[command(subcommand)]
    Key(key::Command),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Key(command) => key::execute(command, host),
    }
}

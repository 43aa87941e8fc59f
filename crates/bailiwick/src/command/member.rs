//! `bailiwick member`.

mod add;
mod get;
mod list;
mod password;
mod remove;
mod role;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in members.
pub(super) const COLUMNS: &[Column] = &[
    ("ID", "/user_id"),
    ("EMAIL", "/email"),
    ("NAME", "/name"),
    ("ROLE", "/role_id"),
    ("PASSWORD", "/has_password"),
    ("DISABLED", "/disabled_at"),
];

/// Members of the organization.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Add(add::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Role(role::Arguments),
    Password(password::Arguments),
    Remove(remove::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(arguments) => add::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Role(arguments) => role::execute(&arguments, host),
        Command::Password(arguments) => password::execute(&arguments, host),
        Command::Remove(arguments) => remove::execute(&arguments, host),
    }
}

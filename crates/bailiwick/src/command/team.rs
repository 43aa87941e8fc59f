//! `bailiwick team`.

mod add;
mod create;
mod delete;
mod list;
mod members;
mod remove;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in teams.
const COLUMNS: &[Column] = &[("ID", "/id"), ("NAME", "/name")];

/// Teams, which rights to deploy are given to.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Members(members::Arguments),
    Add(add::Arguments),
    Remove(remove::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Members(arguments) => members::execute(&arguments, host),
        Command::Add(arguments) => add::execute(&arguments, host),
        Command::Remove(arguments) => remove::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

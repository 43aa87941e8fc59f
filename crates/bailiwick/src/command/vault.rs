//! `bailiwick vault`.

mod archive;
mod connect;
mod create;
mod credential;
mod delete;
mod finish;
mod get;
mod list;
mod update;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in vaults.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/display_name"),
    ("CREATED", "/created_at"),
    ("ARCHIVED", "/archived_at"),
];

/// Vaults of a server, and the credentials in them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Update(update::Arguments),
    Archive(archive::Arguments),
    Delete(delete::Arguments),
    Connect(connect::Arguments),
    Finish(finish::Arguments),
    #[command(subcommand)]
    Credential(credential::Command),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Archive(arguments) => archive::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Connect(arguments) => connect::execute(&arguments, host),
        Command::Finish(arguments) => finish::execute(&arguments, host),
        Command::Credential(command) => credential::execute(command, host),
    }
}

//! `bailiwick mcp-gateway`.

mod create;
mod delete;
mod get;
mod key;
mod list;
mod servers;
mod update;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in gateways.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("ENVIRONMENT", "/environment_id"),
    ("ACCESS", "/access"),
    ("NAMING", "/naming"),
];

/// MCP gateways: doors of environments to MCP servers of the catalog.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Update(update::Arguments),
    Delete(delete::Arguments),
    #[command(subcommand)]
    Key(key::Command),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Key(command) => key::execute(command, host),
    }
}

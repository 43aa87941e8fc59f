//! `bailiwick mcp-catalog`.

mod create;
mod delete;
mod get;
mod import;
mod list;
mod logs;
mod server;
mod tools;
mod update;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;
pub(crate) use import::NotImported;

/// What people look for in the catalog.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("ENVIRONMENT", "/environment_id"),
    ("TYPE", "/type"),
    ("URL", "/url"),
    ("COMMAND", "/command"),
];

/// The MCP catalog: the organization's MCP servers, each in an environment.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    Import(import::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Tools(tools::Arguments),
    Logs(logs::Arguments),
    Update(update::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::Import(arguments) => import::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Tools(arguments) => tools::execute(&arguments, host),
        Command::Logs(arguments) => logs::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

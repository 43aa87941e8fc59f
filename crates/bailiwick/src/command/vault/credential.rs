//! `bailiwick vault credential`.

mod archive;
mod create;
mod delete;
mod get;
mod list;
mod update;
mod validate;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in credentials. What one is for depends on its type.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/display_name"),
    ("TYPE", "/auth/type"),
    ("VARIABLE", "/auth/secret_name"),
    ("MCP SERVER", "/auth/mcp_server_url"),
    ("ARCHIVED", "/archived_at"),
];

/// The most of a page.
const PAGE: &str = "100";

/// Credentials in a vault; their secrets never come out.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Update(update::Arguments),
    Validate(validate::Arguments),
    Archive(archive::Arguments),
    Delete(delete::Arguments),
}

pub(super) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Validate(arguments) => validate::execute(&arguments, host),
        Command::Archive(arguments) => archive::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}

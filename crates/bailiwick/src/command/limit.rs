//! `bailiwick limit`.

mod alerts;
mod create;
mod delete;
mod get;
mod list;
mod update;
mod values;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in limits.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("FOR", "/entity/type"),
    ("WHICH", "/entity/id"),
    ("IN", "/environment_id"),
    ("MODELS", "/models"),
    ("WINDOW", "/window"),
    ("USD", "/max_cost_usd"),
    ("SPENT", "/spent_usd"),
    ("TOKENS", "/max_tokens"),
    ("USED", "/spent_tokens"),
    ("KIND", "/enforcement"),
];

/// Limits of what may be spent on models.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(Box<create::Arguments>),
    List(list::Arguments),
    Get(get::Arguments),
    Update(Box<update::Arguments>),
    Delete(delete::Arguments),
    Alerts(alerts::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Alerts(arguments) => alerts::execute(&arguments, host),
    }
}

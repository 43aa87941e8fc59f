//! `bailiwick retention`.

mod get;
mod set;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// Days; none is for ever.
const COLUMNS: &[Column] = &[
    ("EVENTS", "/events_days"),
    ("FLOWS", "/flows_days"),
    ("AUDIT LOG", "/audit_days"),
    ("VERSION", "/version"),
];

/// For how many days a server keeps records: events, flows and the audit log.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Get(get::Arguments),
    Set(set::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Set(arguments) => set::execute(&arguments, host),
    }
}

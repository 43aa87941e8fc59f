//! `bailiwick session`.

mod archive;
mod attach;
mod conversation;
mod create;
mod delete;
mod following;
mod get;
mod interrupt;
mod list;
mod rest;
mod send;
mod stream;
mod tighten;
mod transcript;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in sessions.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("TITLE", "/title"),
    ("STATUS", "/status"),
    ("AGENT", "/agent/name"),
    ("ENVIRONMENT", "/environment_id"),
    ("CREATED", "/created_at"),
];

/// Sessions of a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Send(send::Arguments),
    Stream(stream::Arguments),
    Attach(attach::Arguments),
    Interrupt(interrupt::Arguments),
    Archive(archive::Arguments),
    Delete(delete::Arguments),
    Tighten(tighten::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Send(arguments) => send::execute(&arguments, host),
        Command::Stream(arguments) => stream::execute(&arguments, host),
        Command::Attach(arguments) => attach::execute(&arguments, host),
        Command::Interrupt(arguments) => interrupt::execute(&arguments, host),
        Command::Archive(arguments) => archive::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Tighten(arguments) => tighten::execute(&arguments, host),
    }
}

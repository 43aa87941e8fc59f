//! `bailiwick environment`.

mod archive;
mod create;
mod delete;
mod explain;
mod get;
mod impact;
mod key;
mod list;
mod policy;
mod references;
mod revision;
mod revisions;
mod show;
mod update;
mod validate;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value};

use crate::client::Column;
use crate::environment_source;
use crate::host_environment::HostEnvironment;
use crate::sibling;

/// What people look for in environments.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("KIND", "/config/type"),
    ("NETWORKING", "/config/networking/type"),
    ("RESTRICTED", "/restricted"),
    ("STATE", "/state"),
    ("VERSION", "/version"),
];

/// Environment files, and the environments of a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Validate(validate::Arguments),
    Show(show::Arguments),
    #[command(flatten)]
    Server(Box<ServerCommand>),
}

/// Those that ask a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ServerCommand {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Update(update::Arguments),
    Archive(archive::Arguments),
    Delete(delete::Arguments),
    Policy(policy::Arguments),
    Explain(explain::Arguments),
    Impact(impact::Arguments),
    References(references::Arguments),
    Revisions(revisions::Arguments),
    Revision(revision::Arguments),
    #[command(subcommand)]
    Key(key::Command),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Validate(arguments) => validate::execute(&arguments, host),
        Command::Show(arguments) => show::execute(&arguments, host),
        Command::Server(_) => sibling::become_it(),
    }
}

/// What the program beside this one does.
pub(crate) fn ask(command: ServerCommand, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        ServerCommand::Create(arguments) => create::execute(&arguments, host),
        ServerCommand::List(arguments) => list::execute(&arguments, host),
        ServerCommand::Get(arguments) => get::execute(&arguments, host),
        ServerCommand::Update(arguments) => update::execute(&arguments, host),
        ServerCommand::Archive(arguments) => archive::execute(&arguments, host),
        ServerCommand::Delete(arguments) => delete::execute(&arguments, host),
        ServerCommand::Policy(arguments) => policy::execute(&arguments, host),
        ServerCommand::Explain(arguments) => explain::execute(&arguments, host),
        ServerCommand::Impact(arguments) => impact::execute(&arguments, host),
        ServerCommand::References(arguments) => references::execute(&arguments, host),
        ServerCommand::Revisions(arguments) => revisions::execute(&arguments, host),
        ServerCommand::Revision(arguments) => revision::execute(&arguments, host),
        ServerCommand::Key(command) => key::execute(command, host),
    }
}

/// The body of a request: what the file says, checked here first, where its problems have places.
fn body_of(file: Option<&Path>, host: &HostEnvironment) -> anyhow::Result<Map<String, Value>> {
    let Some(path) = file else {
        return Ok(Map::new());
    };
    let file = environment_source::load_file(path, host)?;
    let Value::Object(body) = serde_json::to_value(file.canonical())? else {
        anyhow::bail!("an environment is a map");
    };
    Ok(body)
}

/// The number of a version, of what a server answered.
fn version_of(environment: &Value) -> anyhow::Result<i64> {
    environment["version"]
        .as_i64()
        .context("the server's answer has no version")
}

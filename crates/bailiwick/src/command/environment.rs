//! `bailiwick environment`.

mod archive;
mod create;
mod delete;
mod explain;
mod get;
mod key;
mod list;
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
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Update(update::Arguments),
    Archive(archive::Arguments),
    Delete(delete::Arguments),
    Explain(explain::Arguments),
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
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Archive(arguments) => archive::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
        Command::Explain(arguments) => explain::execute(&arguments, host),
        Command::References(arguments) => references::execute(&arguments, host),
        Command::Revisions(arguments) => revisions::execute(&arguments, host),
        Command::Revision(arguments) => revision::execute(&arguments, host),
        Command::Key(command) => key::execute(command, host),
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

//! `bailiwick agent`.

mod archive;
mod create;
mod get;
mod list;
mod update;
mod versions;

use std::path::Path;
use std::process::ExitCode;

use bailiwick_wire::{Declared, DeclaredAgent, DefaultKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bad_input::BadInput;
use crate::client::{Client, Column, ENVIRONMENTS};
use crate::host_environment::HostEnvironment;
use crate::input;

/// What people look for in agents.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("MODEL", "/model/id"),
    ("ENVIRONMENT", "/environment_id"),
    ("VERSION", "/version"),
    ("UPDATED", "/updated_at"),
    ("ARCHIVED", "/archived_at"),
];

/// Agents of a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Get(get::Arguments),
    Versions(versions::Arguments),
    Update(update::Arguments),
    Archive(archive::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Versions(arguments) => versions::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Archive(arguments) => archive::execute(&arguments, host),
    }
}

/// The one agent of a file, checked here first, where its problems have places.
fn declared(file: &Path, host: &HostEnvironment) -> anyhow::Result<DeclaredAgent> {
    let mut list = input::declarations(file, DefaultKind::Agent, host)?;
    match (list.pop().map(|one| one.declared), list.is_empty()) {
        (Some(Declared::Agent(agent)), true) => Ok(*agent),
        (Some(_) | None, _) => Err(BadInput::NotOneDocument {
            path: input::name(file).into(),
            wanted: "Agent",
        }
        .into()),
    }
}

/// Places an agent in an environment that has this id or name; without one its place is left to its sessions.
fn place(
    client: &Client,
    id: &str,
    environment: Option<&str>,
    revision: Option<i64>,
) -> anyhow::Result<Value> {
    let environment = environment.map(|text| client.id_of(&ENVIRONMENTS, text));
    let body = json!({"environment_id": environment.transpose()?});
    client.send(Method::PATCH, &["api", "agents", id], Some(&body), revision)
}

/// An agent, with where it was placed.
fn shown(client: &Client, id: &str) -> anyhow::Result<Value> {
    client.get(&["api", "agents", id], &[])
}

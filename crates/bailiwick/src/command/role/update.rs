//! `bailiwick role update`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use bailiwick_model::Permission;
use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ROLES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Change a role, and with it what those may do who have it: what is not named stays.
///
/// If somebody else changes it at the same moment, one of the two changes is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick role update auditor --add-permission member:read
  bailiwick role update auditor --name reader --remove-permission audit-log:read")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ROLE")]
    role: String,
    /// Its new name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Something more that it allows; may be given several times.
    #[arg(long = "add-permission", value_name = "PERMISSION")]
    added: Vec<Permission>,
    /// Something that it allows no longer; may be given several times.
    #[arg(long = "remove-permission", value_name = "PERMISSION")]
    removed: Vec<Permission>,
    /// Only if it is at this version.
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let is_nothing = arguments.added.is_empty() && arguments.removed.is_empty();
    if arguments.name.is_none() && is_nothing {
        return Err(BadInput::NothingToChange.into());
    }
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ROLES, &arguments.role)?;
    let roles = client.all(&ROLES, &[])?;
    let role = roles.iter().find(|role| role["id"] == id.as_str());
    let role = role.context("the server has no such role any more")?;
    let permissions: Vec<Permission> = serde_json::from_value(role["permissions"].clone())
        .context("the role allows what this version does not know")?;
    let mut permissions = BTreeSet::from_iter(permissions);
    permissions.extend(&arguments.added);
    permissions.retain(|permission| !arguments.removed.contains(permission));
    let name = match &arguments.name {
        Some(name) => json!(name),
        None => role["name"].clone(),
    };
    let body = json!({"name": name, "permissions": permissions});
    // What it allows was taken from the role as it was read.
    let version = arguments.if_version.or_else(|| role["version"].as_i64());
    let path = ["api", "roles", &id];
    let changed = client.send(Method::PUT, &path, Some(&body), version)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

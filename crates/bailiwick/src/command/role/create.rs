//! `bailiwick role create`.

use std::process::ExitCode;

use bailiwick_model::Permission;
use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ROLES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a role. It can allow nothing that you may not do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick role create auditor --permission environment:read --permission audit-log:read")]
pub(crate) struct Arguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Something that it allows, `resource:verb`; may be given several times.
    #[arg(long = "permission", value_name = "PERMISSION", required = true)]
    permissions: Vec<Permission>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let body = json!({"name": arguments.name, "permissions": arguments.permissions});
    let made = client.send(Method::POST, ROLES.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}

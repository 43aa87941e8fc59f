//! `bailiwick service-account create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ROLES, SERVICE_ACCOUNTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a service account. Its role can allow nothing that you may not do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick service-account create ci --role editor")]
pub(crate) struct Arguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Its role, by name or id; `bailiwick role list` lists roles.
    #[arg(long, value_name = "ROLE")]
    role: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let role = client.id_of(&ROLES, &arguments.role)?;
    let body = json!({"name": arguments.name, "role_id": role});
    let made = client.send(Method::POST, SERVICE_ACCOUNTS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}

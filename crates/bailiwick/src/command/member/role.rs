//! `bailiwick member role`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MEMBERS, ROLES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Give a member another role.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick member role ada@example.com admin")]
pub(crate) struct Arguments {
    /// Their address of mail, or their id.
    #[arg(value_name = "MEMBER")]
    member: String,
    /// The role, by name or id; `bailiwick role list` lists roles.
    #[arg(value_name = "ROLE")]
    role: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MEMBERS, &arguments.member)?;
    let body = json!({"role_id": client.id_of(&ROLES, &arguments.role)?});
    let changed = client.send(Method::PATCH, &["api", "members", &id], Some(&body), None)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

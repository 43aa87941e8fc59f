//! `bailiwick member add`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MEMBERS, ROLES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;

/// Make somebody a member of the organization.
///
/// Without a password they sign in through the organization's identity provider, or not at all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick member add ada@example.com --name Ada --role editor
  bailiwick member add ada@example.com --name Ada --role member --password-file - < password")]
pub(crate) struct Arguments {
    /// Their address of mail.
    #[arg(value_name = "EMAIL")]
    email: String,
    /// What people call them.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Their role, by name or id; `bailiwick role list` lists roles.
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// The file of their password; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let password = arguments.password_file.as_deref().map(input::secret);
    let password = password.transpose()?;
    let client = Client::new(&arguments.server, host)?;
    let role = client.id_of(&ROLES, &arguments.role)?;
    let body = json!({"email": arguments.email, "name": arguments.name, "role_id": role, "password": password});
    let made = client.send(Method::POST, MEMBERS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}

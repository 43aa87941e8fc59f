//! `bailiwick agent archive`.

use std::process::ExitCode;

use reqwest::Method;

use super::{COLUMNS, shown};
use crate::client::{AGENTS, AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Archive an agent on a server.
///
/// It can be read and not used; its sessions go on. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick agent archive reviewer")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "AGENT")]
    agent: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&AGENTS, &arguments.agent)?;
    client.send(Method::POST, &["v1", "agents", &id, "archive"], None, None)?;
    print_one(arguments.output, &shown(&client, &id)?, COLUMNS)?;
    Ok(Exit::Done.into())
}

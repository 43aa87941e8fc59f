//! `bailiwick environment archive`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Archive an environment on a server.
///
/// It can be read and not used, and its name is free. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment archive payments-dev")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let archived = client.send(
        Method::POST,
        &["api", "environments", &id, "archive"],
        None,
        None,
    )?;
    print_one(arguments.output, &archived, COLUMNS)?;
    Ok(Exit::Done.into())
}

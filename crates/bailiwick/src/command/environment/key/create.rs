//! `bailiwick environment key create`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments};
use crate::command::key::NewKeyArguments;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a key for the workers of an environment, and print it, this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment key create gpu-farm --name rack-7
  bailiwick environment key create gpu-farm --name rack-7 --expires-at 2027-01-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    key: NewKeyArguments,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    arguments.key.make(
        &client,
        &["api", "environments", &id, "keys"],
        arguments.output,
    )?;
    Ok(Exit::Done.into())
}

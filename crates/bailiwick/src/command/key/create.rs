//! `bailiwick key create`.

use std::process::ExitCode;

use super::NewKeyArguments;
use crate::client::{AnswerForm, Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make another key of one's own, and print it, this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick key create --name laptop
  bailiwick key create --name ci --expires-at 2027-01-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
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
    arguments
        .key
        .make(&client, &["api", "keys"], arguments.output)?;
    Ok(Exit::Done.into())
}

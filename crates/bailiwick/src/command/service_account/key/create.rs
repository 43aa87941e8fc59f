//! `bailiwick service-account key create`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, SERVICE_ACCOUNTS, ServerArguments};
use crate::command::key::NewKeyArguments;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a key of a service account, and print it, this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick service-account key create ci --name pipeline
  bailiwick service-account key create ci --name pipeline --expires-at 2027-01-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ACCOUNT")]
    account: String,
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
    let id = client.id_of(&SERVICE_ACCOUNTS, &arguments.account)?;
    let path = ["api", "service-accounts", &id, "keys"];
    arguments.key.make(&client, &path, arguments.output)?;
    Ok(Exit::Done.into())
}

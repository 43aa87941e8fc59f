//! `bailiwick service-account list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, SERVICE_ACCOUNTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the service accounts of the organization, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick service-account list")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let all = client.all(&SERVICE_ACCOUNTS, &[])?;
    print_list(arguments.output, &all, COLUMNS)?;
    Ok(Exit::Done.into())
}

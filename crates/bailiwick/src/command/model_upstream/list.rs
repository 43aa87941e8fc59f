//! `bailiwick model-upstream list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MODEL_UPSTREAMS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the servers that answer for models, in the order in which they are asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick model-upstream list
  bailiwick model-upstream list -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    print_list(
        arguments.output,
        &client.all(&MODEL_UPSTREAMS, &[])?,
        COLUMNS,
    )?;
    Ok(Exit::Done.into())
}

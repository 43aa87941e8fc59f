//! `bailiwick model-upstream get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MODEL_UPSTREAMS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a server that answers for models; its key is never shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick model-upstream get main -o yaml")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "UPSTREAM")]
    upstream: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MODEL_UPSTREAMS, &arguments.upstream)?;
    let found = client.get(&["api", "model-upstreams", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

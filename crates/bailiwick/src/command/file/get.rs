//! `bailiwick file get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, FILES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show what is known of a file of a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick file get report.pdf -o yaml")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&FILES, &arguments.file)?;
    let found = client.get(&["v1", "files", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

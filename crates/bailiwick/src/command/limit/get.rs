//! `bailiwick limit get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a limit, and how much of it is used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick limit get lim_1ChGqExyZXj8gBdypLbMAf -o yaml")]
pub(crate) struct Arguments {
    /// Its id.
    #[arg(value_name = "LIMIT")]
    limit: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let found = client.get(&["api", "limits", &arguments.limit], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

//! `bailiwick member roles`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ROLES, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("PREDEFINED", "/predefined"),
];

/// List the roles that members can have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick member roles
  bailiwick member roles -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    print_list(arguments.output, &client.all(&ROLES, &[])?, COLUMNS)?;
    Ok(Exit::Done.into())
}

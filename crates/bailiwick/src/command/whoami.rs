//! `bailiwick whoami`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("ORGANIZATION", "/organization_id"),
    ("KIND", "/actor/kind"),
    ("ID", "/actor/id"),
    ("PERMISSIONS", "/permissions"),
];

/// Show who a server takes the key for, and what that may do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick whoami
  bailiwick whoami -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let found = client.get(&["api", "whoami"], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

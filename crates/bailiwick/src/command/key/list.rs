//! `bailiwick key list`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("BEGINS", "/shown"),
    ("OWNER", "/owner/kind"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
];

/// List the keys of the organization, the newest first; what opens anything is not shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick key list
  bailiwick key list -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let keys = client.list(&["api", "keys"], "1000", &[])?;
    print_list(arguments.output, &keys, COLUMNS)?;
    Ok(Exit::Done.into())
}

//! `bailiwick member get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MEMBERS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a member of the organization.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick member get ada@example.com -o yaml")]
pub(crate) struct Arguments {
    /// Their address of mail, or their id.
    #[arg(value_name = "MEMBER")]
    member: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MEMBERS, &arguments.member)?;
    let found = client.get(&["api", "members", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

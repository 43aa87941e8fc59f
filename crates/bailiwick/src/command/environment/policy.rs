//! `bailiwick environment policy`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ENVIRONMENTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("FROM", "/source/kind"),
    ("NETWORKING", "/networking/type"),
    ("HOSTS", "/networking/allowed_hosts"),
    ("FLOOR HOSTS", "/organization_floor/denied_hosts"),
    ("FLOOR CIDRS", "/organization_floor/denied_cidrs"),
];

/// Show the policy that holds in an environment of a server, and where it comes from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment policy payments-dev
  bailiwick environment policy payments-dev -o yaml")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let found = client.get(&["api", "environments", &id, "policy"], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

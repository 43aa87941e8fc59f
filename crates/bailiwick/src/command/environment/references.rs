//! `bailiwick environment references`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ENVIRONMENTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[("KIND", "/kind"), ("ID", "/id")];
/// The most of a page.
const PAGE: &str = "100";

/// List what refers to an environment of a server, and so keeps it from being deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment references payments-dev
  bailiwick environment references payments-dev -o json")]
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
    let path = ["api", "environments", &id, "references"];
    let all = client.list(&path, PAGE, &[])?;
    print_list(arguments.output, &all, COLUMNS)?;
    Ok(Exit::Done.into())
}

//! `bailiwick agent list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AGENTS, AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the agents of a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick agent list
  bailiwick agent list --environment payments-dev
  bailiwick agent list --include-archived -o json")]
pub(crate) struct Arguments {
    /// Only those that were placed in this environment, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Those that were archived, too.
    #[arg(long)]
    include_archived: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let include_archived = arguments.include_archived.to_string();
    let mut query = vec![("include_archived", include_archived.as_str())];
    let environment = arguments.environment.as_deref();
    let environment = environment.map(|text| client.id_of(&ENVIRONMENTS, text));
    let environment = environment.transpose()?;
    query.extend(environment.as_deref().map(|id| ("environment_id", id)));
    print_list(arguments.output, &client.all(&AGENTS, &query)?, COLUMNS)?;
    Ok(Exit::Done.into())
}

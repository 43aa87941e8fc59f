//! `bailiwick session list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{
    AGENTS, AnswerForm, Client, ENVIRONMENTS, SESSIONS, ServerArguments, print_list,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the sessions of a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session list
  bailiwick session list --environment payments-dev
  bailiwick session list --agent reviewer --include-archived -o json")]
pub(crate) struct Arguments {
    /// Only those in this environment, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only those of this agent, by name or id.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
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
    let narrowed = [
        ("environment_id", &ENVIRONMENTS, &arguments.environment),
        ("agent_id", &AGENTS, &arguments.agent),
    ];
    let mut ids = Vec::new();
    for (field, of, text) in narrowed {
        if let Some(text) = text {
            ids.push((field, client.id_of(of, text)?));
        }
    }
    query.extend(ids.iter().map(|(field, id)| (*field, id.as_str())));
    print_list(arguments.output, &client.all(&SESSIONS, &query)?, COLUMNS)?;
    Ok(Exit::Done.into())
}

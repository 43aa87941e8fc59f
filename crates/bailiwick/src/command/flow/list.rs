//! `bailiwick flow list`.

use std::process::ExitCode;

use bailiwick_model::Verdict;
use clap::ValueEnum;

use crate::client::{
    AnswerForm, Client, Column, ENVIRONMENTS, Records, SESSIONS, ServerArguments, print_list,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// What people look for in flows.
const COLUMNS: &[Column] = &[
    ("NUMBER", "/sequence"),
    ("AT", "/at"),
    ("SESSION", "/session_id"),
    ("VERDICT", "/verdict"),
    ("REASON", "/reason"),
    ("DESTINATION", "/destination"),
    ("OUT", "/bytes_out"),
    ("IN", "/bytes_in"),
];

/// List what sandboxes of sessions tried to reach, the oldest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick flow list --environment payments-dev --verdict deny
  bailiwick flow list --session sesn_1ChGqExyZXj8gBdypLbMAf -o json
  bailiwick flow list --after 4711 --limit 100000 -o json")]
pub(crate) struct Arguments {
    /// Only those of this session.
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Only those in this environment, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only those that were allowed, or denied.
    #[arg(long, value_enum)]
    verdict: Option<Which>,
    /// Only those after the one with this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: i64,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    limit: u32,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Allow,
    Deny,
}

impl From<Which> for Verdict {
    fn from(which: Which) -> Self {
        match which {
            Which::Allow => Self::Allow,
            Which::Deny => Self::Deny,
        }
    }
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let mut narrowed = Vec::new();
    if let Some(session) = &arguments.session {
        narrowed.push(("session_id", client.id_of(&SESSIONS, session)?));
    }
    if let Some(environment) = &arguments.environment {
        narrowed.push(("environment_id", client.id_of(&ENVIRONMENTS, environment)?));
    }
    if let Some(which) = arguments.verdict {
        narrowed.push(("verdict", Verdict::from(which).to_string()));
    }
    let flows = client.records(&Records {
        path: &["api", "flows"],
        narrowed: &narrowed,
        after: arguments.after,
        limit: arguments.limit,
    })?;
    print_list(arguments.output, &flows, COLUMNS)?;
    Ok(Exit::Done.into())
}

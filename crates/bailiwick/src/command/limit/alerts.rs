//! `bailiwick limit alerts`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, Records, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// What people look for in them.
const COLUMNS: &[Column] = &[
    ("NUMBER", "/sequence"),
    ("AT", "/at"),
    ("LIMIT", "/limit_id"),
    ("FOR", "/entity/type"),
    ("WHICH", "/entity/id"),
    ("USER", "/user_id"),
    ("PERCENT", "/threshold_percent"),
    ("SPENT", "/spent_usd"),
    ("OF", "/max_cost_usd"),
    ("USED", "/spent_tokens"),
    ("TOKENS", "/max_tokens"),
];

/// List thresholds of limits that were passed, the oldest first.
///
/// Each is told once in a window. `bailiwick up --export limits=DESTINATION` delivers them as they are passed, also to a webhook.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick limit alerts
  bailiwick limit alerts --after 47 -o json")]
pub(crate) struct Arguments {
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

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let alerts = client.records(&Records {
        path: &["api", "limits", "alerts"],
        narrowed: &[],
        after: arguments.after,
        limit: arguments.limit,
    })?;
    print_list(arguments.output, &alerts, COLUMNS)?;
    Ok(Exit::Done.into())
}

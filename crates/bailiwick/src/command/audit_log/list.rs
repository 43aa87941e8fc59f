//! `bailiwick audit-log list`.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::client::{AnswerForm, Client, Column, Records, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// What people look for in entries.
const COLUMNS: &[Column] = &[
    ("NUMBER", "/sequence"),
    ("AT", "/at"),
    ("ACTOR", "/actor/kind"),
    ("ID", "/actor/id"),
    ("FROM", "/address"),
    ("ACTION", "/action"),
    ("RESOURCE", "/resource/id"),
];

/// List who changed what, the last changes unless told otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit-log list
  bailiwick audit-log list --limit 1 -o yaml
  bailiwick audit-log list --after 4711 --limit 100000 -o json")]
pub(crate) struct Arguments {
    /// The entries after the one with this number, instead of the last ones.
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let after = match arguments.after {
        Some(after) => after,
        None => (entries(&client)? - i64::from(arguments.limit)).max(0),
    };
    let entries = client.records(&Records {
        path: &["api", "audit-log"],
        narrowed: &[],
        after,
        limit: arguments.limit,
    })?;
    print_list(arguments.output, &entries, COLUMNS)?;
    Ok(Exit::Done.into())
}

/// The number of the last entry.
fn entries(client: &Client) -> anyhow::Result<i64> {
    let head = client.get(&["api", "audit-log", "head"], &[])?;
    head["entries"]
        .as_i64()
        .context("the server's answer is no head")
}

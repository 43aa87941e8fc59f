//! `bailiwick environment revisions`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::client::{AnswerForm, Client, Column, ENVIRONMENTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("REVISION", "/number"),
    ("MADE", "/created_at"),
    ("BY", "/created_by/id"),
    ("CHANGED", "/changed"),
];
/// The most of a page.
const PAGE: &str = "100";

/// List the revisions of an environment of a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment revisions payments-dev
  bailiwick environment revisions payments-dev -o json")]
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
    let mut all = client.list(&["api", "environments", &id, "revisions"], PAGE, &[])?;
    if arguments.output == AnswerForm::Table {
        all.iter_mut().for_each(name_changes);
    }
    print_list(arguments.output, &all, COLUMNS)?;
    Ok(Exit::Done.into())
}

/// The fields that changed, as a cell of a table.
fn name_changes(revision: &mut Value) {
    let changes = revision["changes"].as_array().into_iter().flatten();
    let fields: Vec<_> = changes
        .filter_map(|change| change["field"].as_str())
        .collect();
    if !fields.is_empty() {
        revision["changed"] = json!(fields.join(", "));
    }
}

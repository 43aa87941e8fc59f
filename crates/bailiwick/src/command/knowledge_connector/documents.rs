//! `bailiwick knowledge-connector documents`.

use std::process::ExitCode;

use crate::client::{
    AnswerForm, Client, Column, KNOWLEDGE_CONNECTORS, ServerArguments, print_list,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("KEY", "/key"),
    ("TITLE", "/title"),
    ("KIND", "/kind"),
    ("BYTES", "/bytes"),
    ("READ", "/read_at"),
    ("ERROR", "/error"),
];

/// List the documents of a knowledge connector, with why they could not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector documents handbook
  bailiwick knowledge-connector documents handbook --failed")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "CONNECTOR")]
    connector: String,
    /// Only those that could not be read the last time.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&KNOWLEDGE_CONNECTORS, &arguments.connector)?;
    let path = ["api", "knowledge-connectors", &id, "documents"];
    let query: &[_] = match arguments.failed {
        true => &[("failed", "true")],
        false => &[],
    };
    print_list(
        arguments.output,
        &client.list(&path, "1000", query)?,
        COLUMNS,
    )?;
    Ok(Exit::Done.into())
}

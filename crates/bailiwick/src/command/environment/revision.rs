//! `bailiwick environment revision`.

use std::process::ExitCode;

use crate::client::{
    AnswerForm, Client, Column, ENVIRONMENTS, ServerArguments, print_list, print_one,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("FIELD", "/field"),
    ("BEFORE", "/before"),
    ("AFTER", "/after"),
];

/// Show what changed with one revision of an environment of a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment revision payments-dev 3
  bailiwick environment revision payments-dev 3 -o yaml")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    /// The number that `bailiwick environment revisions` shows.
    #[arg(value_name = "REVISION", value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let number = arguments.number.to_string();
    let path = ["api", "environments", &id, "revisions", &number];
    let found = client.get(&path, &[])?;
    match arguments.output {
        AnswerForm::Table => {
            let changes = found["changes"].as_array().map_or(&[][..], Vec::as_slice);
            print_list(AnswerForm::Table, changes, COLUMNS)?;
        }
        AnswerForm::Json | AnswerForm::Yaml => print_one(arguments.output, &found, COLUMNS)?,
    }
    Ok(Exit::Done.into())
}

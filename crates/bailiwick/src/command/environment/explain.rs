//! `bailiwick environment explain`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ENVIRONMENTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("DESTINATION", "/destination"),
    ("VERDICT", "/verdict"),
    ("REASON", "/reason"),
    ("RULE", "/rule"),
    ("HINT", "/hint"),
];

/// Say whether an environment of a server can reach a destination, and why.
///
/// Nothing is resolved and nothing is contacted. Ends with 0 if it is allowed, 3 if it is denied.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment explain payments-dev api.example.com:443
  bailiwick environment explain payments-dev 10.20.1.5:5432 -o json")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    /// The destination: HOST:PORT, or a name or an address alone.
    #[arg(value_name = "DESTINATION")]
    destination: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let query = [("destination", arguments.destination.as_str())];
    let answer = client.get(&["api", "environments", &id, "explain"], &query)?;
    print_one(arguments.output, &answer, COLUMNS)?;
    if answer["verdict"] == "deny" {
        return Ok(Exit::Denied.into());
    }
    Ok(Exit::Done.into())
}

//! `bailiwick agent get`.

use std::process::ExitCode;

use super::{COLUMNS, shown};
use crate::client::{AGENTS, AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show an agent of a server, at its newest version or another one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick agent get reviewer -o yaml
  bailiwick agent get agent_01JQ8ZK5T6W3R9X2 --version 3 -o json")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "AGENT")]
    agent: String,
    /// The version [default: the newest].
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&AGENTS, &arguments.agent)?;
    let found = match arguments.version {
        Some(version) => {
            let version = version.to_string();
            client.get(&["v1", "agents", &id], &[("version", &version)])?
        }
        None => shown(&client, &id)?,
    };
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}

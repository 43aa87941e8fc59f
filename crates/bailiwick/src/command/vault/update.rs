//! `bailiwick vault update`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::value;

/// Change a vault on a server: what is not named stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault update payments --name payments-team
  bailiwick vault update payments --metadata team=payments --remove-metadata owner")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// What people shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A pair of metadata; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::pair)]
    metadata: Vec<(String, String)>,
    /// A pair of metadata that goes; may be given several times.
    #[arg(long, value_name = "KEY")]
    remove_metadata: Vec<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let set = arguments
        .metadata
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)));
    let removed = arguments
        .remove_metadata
        .iter()
        .map(|key| (key.clone(), Value::Null));
    let metadata: Map<_, _> = set.chain(removed).collect();
    if arguments.name.is_none() && metadata.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    let body = json!({"display_name": arguments.name, "metadata": metadata});
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&VAULTS, &arguments.vault)?;
    let changed = client.send(Method::POST, &["v1", "vaults", &id], Some(&body), None)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

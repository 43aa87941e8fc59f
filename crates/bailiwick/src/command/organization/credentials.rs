//! `bailiwick organization credentials`.

use std::process::ExitCode;

use clap::ValueEnum;
use reqwest::Method;
use serde_json::json;

use super::{COLUMNS, PATH};
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Say where secrets of credentials may go.
///
/// Without injection into bodies a secret goes into header fields alone, whatever its credential says: within seconds, also in sandboxes that
/// run. An API that keeps what it is sent can be made to give a secret out again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick organization credentials --body-injection off")]
pub(crate) struct Arguments {
    /// Whether secrets may go into bodies of requests, where their credentials say so.
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    body_injection: Switch,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let allow = match arguments.body_injection {
        Switch::On => true,
        Switch::Off => false,
    };
    let body = json!({"allow_body_injection": allow});
    let changed = client.send(Method::PATCH, PATH, Some(&body), None)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

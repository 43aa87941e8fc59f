//! `bailiwick organization policy`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{PATH, change};
use crate::client::{AnswerForm, Client, ServerArguments};
use crate::host_environment::HostEnvironment;
use crate::input;

/// Change the default policy: that of environments that have none of their own.
///
/// `bailiwick organization get -o yaml` shows it, as `default_networking`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "built_in"]))]
#[command(after_help = "\
Exit codes: 0 done, or nothing would change; 1 something would (--dry-run).

Examples:
  bailiwick organization policy -f networking.yaml --dry-run
  bailiwick organization policy -f - <<< '{type: limited, presets: [common_dependencies]}'
  bailiwick organization policy --built-in")]
pub(crate) struct Arguments {
    /// The policy, as an environment file has it below `config.networking`; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Have none: the built-in policy holds, which is unrestricted.
    #[arg(long)]
    built_in: bool,
    /// Only show in which environments it would open or close anything.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let networking = match &arguments.file {
        Some(file) => Value::Object(input::object(file)?),
        None => Value::Null,
    };
    let client = Client::new(&arguments.server, host)?;
    let version = client.get(PATH, &[])?["version"].take();
    let body = json!({"default_networking": networking, "version": version});
    let exit = change(&client, &body, arguments.dry_run, arguments.output)?;
    Ok(exit.into())
}

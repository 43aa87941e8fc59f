//! `bailiwick oauth-grant list`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("PROGRAM", "/client_name"),
    ("GATEWAY", "/gateway_name"),
    ("USER", "/user_id"),
    ("SINCE", "/created_at"),
    ("REFRESHED", "/refreshed_at"),
    ("EXPIRES", "/expires_at"),
];

/// List what you let programs do with MCP gateways, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick oauth-grant list
  bailiwick oauth-grant list --everyone -o json")]
pub(crate) struct Arguments {
    /// What others let programs do, too: for who administers keys.
    #[arg(long)]
    everyone: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let everyone = if arguments.everyone { "true" } else { "false" };
    let query = [("everyone", everyone)];
    let grants = client.list(&["api", "oauth-grants"], "1000", &query)?;
    print_list(arguments.output, &grants, COLUMNS)?;
    Ok(Exit::Done.into())
}

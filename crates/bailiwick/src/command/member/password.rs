//! `bailiwick member password`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use crate::client::{Client, MEMBERS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;

/// Give a member another password; they are signed out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick member password ada@example.com --password-file - < password")]
pub(crate) struct Arguments {
    /// Their address of mail, or their id.
    #[arg(value_name = "MEMBER")]
    member: String,
    /// The file of the password; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let password = input::secret(&arguments.password_file)?;
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MEMBERS, &arguments.member)?;
    let body = json!({"password": password});
    client.send(
        Method::PUT,
        &["api", "members", &id, "password"],
        Some(&body),
        None,
    )?;
    Ok(Exit::Done.into())
}

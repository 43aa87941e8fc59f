//! `bailiwick key`.

mod create;
mod list;
mod revoke;

use std::process::ExitCode;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::client::{AnswerForm, Client, print_one};
use crate::host_environment::HostEnvironment;

/// Keys of a server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Revoke(revoke::Arguments),
}

/// A key to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct NewKeyArguments {
    /// What it is for.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// From when on it is not taken, such as 2027-01-01T00:00:00Z [default: never].
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Revoke(arguments) => revoke::execute(&arguments, host),
    }
}

impl NewKeyArguments {
    /// Makes it and prints it.
    pub(super) fn make(
        &self,
        client: &Client,
        path: &[&str],
        form: AnswerForm,
    ) -> anyhow::Result<()> {
        let body = json!({"name": self.name, "expires_at": self.expires_at});
        let made = client.send(Method::POST, path, Some(&body), None)?;
        let columns = [("ID", "/id"), ("KEY", "/key"), ("EXPIRES", "/expires_at")];
        print_one(form, &made, &columns)
    }
}

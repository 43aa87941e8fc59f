//! `bailiwick knowledge-connector sync`.

use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, KNOWLEDGE_CONNECTORS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// From one look at how far it is to the next.
const LOOK: Duration = Duration::from_millis(500);

/// Sync a knowledge connector as soon as a server can.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector sync handbook
  bailiwick knowledge-connector sync handbook --wait")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "CONNECTOR")]
    connector: String,
    /// Wait for its end, and tell how far it is; a sync that fails is an error then.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&KNOWLEDGE_CONNECTORS, &arguments.connector)?;
    let path = ["api", "knowledge-connectors", &id, "sync"];
    let mut found = client.send(Method::POST, &path, None, None)?;
    if arguments.wait {
        found = waited(&client, &id, found)?;
    }
    print_one(arguments.output, &found, COLUMNS)?;
    if arguments.wait && found["sync"]["state"] == "failed" {
        let error = found["sync"]["error"].as_str().unwrap_or_default();
        anyhow::bail!("the sync failed: {}", output::printable(error));
    }
    Ok(Exit::Done.into())
}

/// Waits until the sync that was asked for has ended: that is when none is due before a schedule's next one, and none runs.
fn waited(client: &Client, id: &str, asked: Value) -> anyhow::Result<Value> {
    let wanted = asked["sync"]["next_at"].clone();
    let (mut found, mut said) = (asked, String::new());
    while found["sync"]["next_at"] == wanted || found["sync"]["state"] == "running" {
        let progress = progress(&found["sync"]);
        if progress != said {
            output::print_to_stderr(&format!("{progress}\n"));
            said = progress;
        }
        std::thread::sleep(LOOK);
        found = client.get(&["api", "knowledge-connectors", id], &[])?;
    }
    Ok(found)
}

fn progress(sync: &Value) -> String {
    let counts = &sync["counts"];
    let number = |name: &str| counts[name].as_u64().unwrap_or(0);
    match (sync["state"].as_str(), counts.is_object()) {
        (Some("running"), true) => {
            let total = counts["total"].as_u64();
            let total = total
                .map(|total| format!(" of {total}"))
                .unwrap_or_default();
            format!(
                "{}{total} documents: {} changed, {} gone, {} failed",
                number("seen"),
                number("changed"),
                number("gone"),
                number("failed")
            )
        }
        (Some("running"), false) => "begun".to_owned(),
        (Some(_) | None, _) => "waiting for a server".to_owned(),
    }
}

//! `bailiwick policy suggest`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_model::limits::FLOW_FILE_BYTES;
use bailiwick_model::{EnvironmentName, Flow};
use bailiwick_policy::{Suggestion, suggest};
use bailiwick_wire::EnvironmentFile;

use crate::bad_input::{BadInput, read_text};
use crate::exit::Exit;
use crate::output::{self, printable};

/// Propose the smallest policy that would have allowed exactly what was seen.
///
/// Reads what `bailiwick run --flows FILE` wrote and prints an environment file: exact names and single addresses, each
/// with its port. What no policy opens is listed in comments, with the reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick run --flows flows.jsonl -- npm ci
  bailiwick policy suggest --flows flows.jsonl > environment.yaml
  bailiwick run -f environment.yaml -- npm ci")]
pub(crate) struct Arguments {
    /// The flows, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    flows: PathBuf,
    /// The name of the environment.
    #[arg(long, default_value = "suggested")]
    name: EnvironmentName,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Suggestion {
        policy,
        assumed_https,
        unopened,
    } = suggest(&flows(&arguments.flows)?);
    let mut text = String::new();
    for name in assumed_https {
        text += &format!(
            "# assumed: {name} was only looked up, never connected to; port 443 is meant\n"
        );
    }
    for unopened in unopened {
        let destination = unopened.destination.to_string();
        text += &format!(
            "# not opened: {}: {}\n",
            printable(&destination),
            unopened.why
        );
    }
    text += &EnvironmentFile::of_policy(arguments.name.clone(), policy).to_short_yaml()?;
    output::print(&text)?;
    Ok(Exit::Done.into())
}

fn flows(path: &Path) -> Result<Vec<Flow>, BadInput> {
    let text = read_text(path, FLOW_FILE_BYTES)?;
    let numbered = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let flow = |(index, line)| {
        serde_json::from_str(line).map_err(|source| BadInput::Flow {
            path: path.to_owned(),
            line: index + 1,
            source,
        })
    };
    numbered.map(flow).collect()
}

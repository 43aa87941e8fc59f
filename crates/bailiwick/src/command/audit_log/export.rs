//! `bailiwick audit-log export`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::head::{AnchorLine, EndLine, Head};
use crate::client::{Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;
use crate::target::Target;

/// Write the whole audit log of a server, one entry of JSON a line.
///
/// What was written can be checked without the server, by `bailiwick audit-log verify FILE`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit-log export audit.jsonl
  bailiwick audit-log export - | grep environment.delete")]
pub(crate) struct Arguments {
    /// Where to; `-` is standard output. A file must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    server: ServerArguments,
}

/// A page of the log. Entries are passed on to the letter: their hashes cover what they are made of.
#[derive(Deserialize)]
struct Entries {
    data: Vec<Box<RawValue>>,
    /// What was taken away, since its time was over.
    anchor: Option<Head>,
    next_after: Option<i64>,
}

/// What of an entry the end of the log is made of.
#[derive(Deserialize)]
struct Last {
    sequence: i64,
    hash: String,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let mut target = Target::new(&arguments.file)?;
    let head = export(&client, &mut target)?;
    let is_file = target.is_file();
    target.finish()?;
    if is_file {
        let entries = head.entries;
        output::print(&format!(
            "{entries} entries; the head of the log is {head}\n"
        ))?;
    } else {
        output::print_to_stderr(&format!("the head of the log is {head}\n"));
    }
    Ok(Exit::Done.into())
}

fn export(client: &Client, to: &mut impl Write) -> anyhow::Result<Head> {
    let mut after = Some(0);
    let (mut last, mut begun) = (None, false);
    while let Some(from) = after {
        let from = from.to_string();
        let query = [("after", from.as_str()), ("limit", "1000")];
        let text = client.get_text(&["api", "audit-log"], &query)?;
        let page: Entries = serde_json::from_str(&text).context("the server's answer is no log")?;
        if let Some(anchor) = page.anchor.filter(|_| !begun) {
            let line = AnchorLine { anchor };
            writeln!(to, "{}", serde_json::to_string(&line)?)?;
        }
        begun = true;
        for entry in &page.data {
            writeln!(to, "{}", entry.get())?;
        }
        last = page
            .data
            .last()
            .map(|entry| entry.get().to_owned())
            .or(last);
        after = page.next_after;
    }
    let last = last.context("the log has no entry, which no organization's is")?;
    let Last { sequence, hash } = serde_json::from_str(&last)?;
    let end = Head {
        entries: sequence,
        hash,
    };
    let line = EndLine { end };
    writeln!(to, "{}", serde_json::to_string(&line)?)?;
    Ok(line.end)
}

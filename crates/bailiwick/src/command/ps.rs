//! `bailiwick ps`.

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use bailiwick_local::Record;
use bailiwick_model::{EnvironmentName, SandboxId};
use jiff::Timestamp;

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Format, printable};
use crate::{clock, state};

/// List the sandboxes that are running.
///
/// Shows the sandboxes of this user: id, environment, since when, and the command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick ps
  bailiwick ps --format json")]
pub(crate) struct Arguments {
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A sandbox for programs: docs/running.md promises these names.
#[derive(Debug, serde::Serialize)]
struct Listed<'a> {
    id: &'a SandboxId,
    /// Null without an environment file.
    environment: Option<&'a EnvironmentName>,
    /// To the second.
    started_at: Timestamp,
    /// For people: words are joined by spaces, and what a terminal would obey is escaped.
    command: Cow<'a, str>,
    /// On this host; null for a project's own copy. Bytes that are no text are replaced.
    work_directory: Option<Cow<'a, str>>,
    /// The process that holds it: `bailiwick run`.
    pid: u32,
}

impl<'a> From<&'a Record> for Listed<'a> {
    fn from(record: &'a Record) -> Self {
        let workspace = record.workspace.as_deref();
        Self {
            id: &record.id,
            environment: record.environment.as_ref(),
            started_at: Timestamp::from_second(record.started_at).unwrap_or_default(),
            command: printable(&record.command),
            work_directory: workspace.map(Path::to_string_lossy),
            pid: record.holder,
        }
    }
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let running = state::open(host)?.running()?;
    match arguments.format {
        Format::Json => {
            let listed: Vec<_> = running.iter().map(Listed::from).collect();
            output::print_json(&listed)?;
        }
        Format::Text => output::print(&table(&running, clock::now_seconds()))?,
    }
    Ok(Exit::Done.into())
}

fn table(running: &[Record], now: i64) -> String {
    let mut rows = vec![["ID", "ENVIRONMENT", "AGE", "COMMAND"].map(str::to_owned)];
    rows.extend(running.iter().map(|record| {
        let environment = record
            .environment
            .as_ref()
            .map_or("-", |name| name.as_str());
        [
            record.id.to_string(),
            printable(environment).into_owned(),
            age(now - record.started_at),
            printable(&record.command).into_owned(),
        ]
    }));
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        format!(
            "{:3$}  {:4$}  {:5$}  ",
            row[0], row[1], row[2], widths[0], widths[1], widths[2]
        ) + &row[3]
            + "\n"
    };
    rows.iter().map(line).collect()
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

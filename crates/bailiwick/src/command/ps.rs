//! `bailiwick ps`.

use std::process::ExitCode;

use bailiwick_local::Record;

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

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let running = state::open(host)?.running()?;
    match arguments.format {
        Format::Json => output::print_json(&running)?,
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

//! `bailiwick policy diff`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_policy::{Policy, diff};
use bailiwick_wire::{DifferenceLine, DifferenceReport, ModeChange};

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Colour, Format, Tone, printable};

/// Compare two policies by what they allow: what becomes reachable, and what stops being so.
///
/// Policies are compared by effect, not by their text: a rule that another one covers makes no difference.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick policy diff before.yaml after.yaml
  bailiwick policy diff before.yaml after.yaml --format json")]
pub(crate) struct Arguments {
    /// The environment file before.
    before: PathBuf,
    /// The environment file after.
    after: PathBuf,
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let compiled = |path: &Path| {
        environment_source::load(Some(path), host)
            .map(|environment| environment.compile(Vec::new()))
    };
    let (before, after): (Policy, Policy) =
        (compiled(&arguments.before)?, compiled(&arguments.after)?);
    let answer = DifferenceReport::from(&diff(&before, &after));
    match arguments.format {
        Format::Text => output::print(&text(&answer, Colour::of_stdout(host)))?,
        Format::Json => output::print_json(&answer)?,
    }
    Ok(Exit::Done.into())
}

fn text(answer: &DifferenceReport, colour: Colour) -> String {
    let mut text = String::new();
    if let Some(ModeChange { before, after }) = &answer.mode {
        text += &format!("mode: {before} -> {after}\n");
    }
    let width = answer
        .opened
        .iter()
        .chain(&answer.closed)
        .map(|row| row.destination.len())
        .max()
        .unwrap_or(0);
    for (sign, tone, rows) in [
        ("+", Tone::Good, &answer.opened),
        ("-", Tone::Bad, &answer.closed),
    ] {
        for DifferenceLine {
            destination,
            before,
            after,
            rule,
        } in rows
        {
            let rule = rule
                .as_ref()
                .map(|rule| format!("  ({})", printable(rule)))
                .unwrap_or_default();
            text += &colour.paint(
                tone,
                &format!("{sign} {destination:<width$}  {before} -> {after}{rule}"),
            );
            text += "\n";
        }
    }
    if answer.opened.is_empty() && answer.closed.is_empty() {
        text += "both allow the same\n";
    }
    text
}

//! `bailiwick policy check`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_local::host_facts;
use bailiwick_model::{Decision, Destination, Verdict};
use bailiwick_policy::{Policy, parse_destination};
use serde::Serialize;

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Colour, Format, Tone, printable};

/// Say for each destination whether it may be reached, and why.
///
/// A destination is a name, an address, either with a port, or a URL. Without a port the question is whether any port may
/// be reached. Nothing is resolved and nothing is contacted: what a name resolves to is checked again when it is dialled.
///
/// Ends with 0 if every destination is allowed, 3 if at least one is denied, 2 if the file or a destination is not valid.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick policy check -f environment.yaml api.example.com:443 10.20.3.4:5432
  bailiwick policy check -f environment.yaml https://registry.npmjs.org/react
  bailiwick policy check 169.254.169.254
      The built-in policy.
  bailiwick policy check -f environment.yaml --format json db.example.com:5432")]
pub(crate) struct Arguments {
    /// The environment file. Without it: the built-in policy.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// What is to be reached: NAME, ADDRESS, NAME:PORT, ADDRESS:PORT (IPv6 in brackets) or a URL.
    #[arg(value_name = "DEST", required = true, value_parser = parse_destination)]
    destinations: Vec<Destination>,
}

/// One answer, as JSON has it.
#[derive(Serialize)]
struct Answer {
    destination: String,
    #[serde(flatten)]
    decision: Decision,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let policy = environment_source::load(arguments.file.as_deref(), host)?.compile(Vec::new());
    let answers = answers(&policy, &arguments.destinations);
    match arguments.format {
        Format::Text => output::print(&text(&policy, &answers, Colour::of_stdout(host)))?,
        Format::Json => output::print_json(&answers)?,
    }
    let all_allowed = answers
        .iter()
        .all(|answer| answer.decision.verdict == Verdict::Allow);
    Ok(if all_allowed {
        Exit::Done
    } else {
        Exit::Denied
    }
    .into())
}

fn answers(policy: &Policy, destinations: &[Destination]) -> Vec<Answer> {
    let host = host_facts(Vec::new());
    let answer = |destination: &Destination| Answer {
        destination: destination.to_string(),
        decision: policy.explain(destination, &host),
    };
    destinations.iter().map(answer).collect()
}

fn text(policy: &Policy, answers: &[Answer], colour: Colour) -> String {
    let width = |of: fn(&Answer) -> usize| answers.iter().map(of).max().unwrap_or(0);
    let destinations = width(|answer| answer.destination.chars().count());
    let reasons = width(|answer| answer.decision.reason.code().len());
    let mut text = String::new();
    for Answer {
        destination,
        decision,
    } in answers
    {
        let tone = match decision.verdict {
            Verdict::Allow => Tone::Good,
            Verdict::Deny => Tone::Bad,
        };
        let verdict = colour.paint(tone, &format!("{:<5}", decision.verdict.to_string()));
        let rule = decision.rule.as_deref().unwrap_or_default();
        let line = format!(
            "{verdict}  {destination:<destinations$}  {:<reasons$}  {}",
            decision.reason.code(),
            printable(rule)
        );
        text += line.trim_end();
        text += "\n";
        if let Some(hint) = &decision.hint {
            text += &format!("       {}\n", colour.paint(Tone::Quiet, &printable(hint)));
        }
    }
    text + &format!(
        "{}\n",
        colour.paint(
            Tone::Quiet,
            &format!("policy: {}", printable(&policy.source().to_string()))
        )
    )
}

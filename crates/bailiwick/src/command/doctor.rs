//! `bailiwick doctor`.

use std::fmt::Write as _;
use std::process::ExitCode;

use bailiwick_sandbox::doctor::{self, Finding, Need};

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Colour, Format, Tone};

/// Check what this machine offers: each kernel feature that sandboxes use.
///
/// For each feature: found or missing, what is lost without it, and how to get it. Ends with 0 when sandboxes can run
/// here, with 125 when something that isolation needs is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick doctor
  bailiwick doctor --format json")]
pub(crate) struct Arguments {
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let findings = doctor::examine();
    match arguments.format {
        Format::Json => output::print_json(&findings)?,
        Format::Text => output::print(&report(&findings, Colour::of_stdout(host)))?,
    }
    let runs_here = findings
        .iter()
        .all(|finding| finding.need != Need::Required || finding.missing.is_none());
    Ok(if runs_here { Exit::Done } else { Exit::Failed }.into())
}

fn report(findings: &[Finding], colour: Colour) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding {
            feature,
            need,
            since,
            missing,
            without,
            remedy,
        } = finding;
        let Some(missing) = missing else {
            let _ = writeln!(text, "{}  {feature}", colour.paint(Tone::Good, "found  "));
            continue;
        };
        let (tone, need) = match need {
            Need::Required => (Tone::Bad, "required"),
            Need::Depth => (Tone::Quiet, "defence in depth"),
            Need::Optional => (Tone::Quiet, "optional"),
        };
        let _ = writeln!(
            text,
            "{}  {feature} ({need}, Linux {since})",
            colour.paint(tone, "missing")
        );
        let _ = writeln!(
            text,
            "         the kernel says: {missing}\n         lost without it: {without}\n         to get it:       {remedy}"
        );
    }
    text
}

//! `bailiwick file upload`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, FILES, ServerArguments, Upload, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input::STDIN;
use crate::value;

/// Upload a file to a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick file upload report.pdf
  bailiwick file upload - --name notes.txt --expires-in 7d < notes.txt")]
pub(crate) struct Arguments {
    /// The file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its name on the server [default: its name here].
    #[arg(long, value_name = "NAME", required_if_eq("file", STDIN))]
    name: Option<String>,
    /// How long it lives there, such as 12h or 7d [default: for ever].
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let fields = arguments
        .expires_in
        .map(|time| ("expires_in_seconds", time.as_secs().to_string()));
    let upload = Upload {
        path: &arguments.file,
        name: arguments.name.as_deref(),
    };
    let made = client.upload(FILES.path, &upload, fields)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}

//! `bailiwick file download`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::client::{Client, FILES, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::target::Target;

/// Write a file of a server to a new file here, or to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick file download report.pdf copy.pdf
  bailiwick file download notes.txt - | wc")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "FILE")]
    file: String,
    /// Where to; `-` is standard output. A file must not be there yet.
    #[arg(value_name = "TO")]
    to: PathBuf,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&FILES, &arguments.file)?;
    let mut target = Target::new(&arguments.to)?;
    client.download(&["v1", "files", &id, "content"], &mut target)?;
    target.finish()?;
    Ok(Exit::Done.into())
}

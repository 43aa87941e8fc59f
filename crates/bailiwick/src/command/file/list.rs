//! `bailiwick file list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, FILES, SESSIONS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the files of a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick file list
  bailiwick file list --session sesn_01JQ8ZK5T6W3R9X2 -o json")]
pub(crate) struct Arguments {
    /// Only those of this session, by id or title.
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let session = arguments.session.as_deref();
    let session = session.map(|text| client.id_of(&SESSIONS, text));
    let session = session.transpose()?;
    let query: Vec<_> = session.iter().map(|id| ("scope_id", id.as_str())).collect();
    print_list(arguments.output, &client.all(&FILES, &query)?, COLUMNS)?;
    Ok(Exit::Done.into())
}

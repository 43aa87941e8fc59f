//! `bailiwick team members`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, MEMBERS, ServerArguments, TEAMS, print_list};
use crate::command::member::COLUMNS;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// The most of a page.
const PAGE: &str = "1000";

/// List who is in a team.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick team members releases")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&TEAMS, &arguments.team)?;
    let ids = client.list(&["api", "teams", &id, "members"], PAGE, &[])?;
    let mut members = client.all(&MEMBERS, &[])?;
    members.retain(|member| ids.contains(&member["user_id"]));
    print_list(arguments.output, &members, COLUMNS)?;
    Ok(Exit::Done.into())
}

//! `bailiwick grant create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, MEMBERS, ServerArguments, TEAMS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Let a member or a team deploy to an environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick grant create production --team releases
  bailiwick grant create production --member ada@example.com")]
pub(crate) struct Arguments {
    /// The environment, by name or id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    /// The member, by address of mail or id.
    #[arg(long, value_name = "MEMBER", conflicts_with = "team")]
    member: Option<String>,
    /// The team, by name or id.
    #[arg(long, value_name = "TEAM", required_unless_present = "member")]
    team: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let member = arguments.member.as_deref();
    let body = match member.map(|member| client.id_of(&MEMBERS, member)) {
        Some(member) => json!({"user_id": member?}),
        None => {
            let team = arguments.team.as_deref().unwrap_or_default();
            json!({"team_id": client.id_of(&TEAMS, team)?})
        }
    };
    let path = ["api", "environments", &id, "grants"];
    let made = client.send(Method::POST, &path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}

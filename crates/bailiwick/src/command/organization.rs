//! `bailiwick organization`.

mod credentials;
mod floor;
mod get;
mod policy;

use std::process::ExitCode;

use reqwest::Method;
use serde_json::Value;

use crate::client::{AnswerForm, Client, Column, print_list, print_one};
use crate::command::impact;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Where it is.
const PATH: &[&str] = &["api", "organization"];

/// The most environments of a page of an impact.
const IMPACT_PAGE: &str = "100";

/// What people look for in an organization.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("DEFAULT POLICY", "/default_networking/type"),
    ("DENIED HOSTS", "/denied_hosts"),
    ("DENIED CIDRS", "/denied_cidrs"),
    ("BODY INJECTION", "/allow_body_injection"),
    ("VERSION", "/version"),
];

/// What holds in all environments: default policy, floor, and where secrets may go.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Get(get::Arguments),
    Policy(policy::Arguments),
    Floor(floor::Arguments),
    Credentials(credentials::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Policy(arguments) => policy::execute(&arguments, host),
        Command::Floor(arguments) => floor::execute(&arguments, host),
        Command::Credentials(arguments) => credentials::execute(&arguments, host),
    }
}

/// Makes a change, or shows in which environments it would open or close anything.
fn change(client: &Client, body: &Value, dry_run: bool, form: AnswerForm) -> anyhow::Result<Exit> {
    if !dry_run {
        let changed = client.send(Method::PATCH, PATH, Some(body), None)?;
        print_one(form, &changed, COLUMNS)?;
        return Ok(Exit::Done);
    }
    let concerned = client.list_by(&["api", "organization", "impact"], IMPACT_PAGE, body)?;
    match form {
        AnswerForm::Table => {
            let of = |one: &Value| impact::lines(&one["name"], one);
            let lines: Vec<_> = concerned.iter().flat_map(of).collect();
            print_list(form, &lines, impact::COLUMNS)?;
        }
        AnswerForm::Json | AnswerForm::Yaml => print_list(form, &concerned, impact::COLUMNS)?,
    }
    Ok(if concerned.is_empty() {
        Exit::Done
    } else {
        Exit::Differs
    })
}

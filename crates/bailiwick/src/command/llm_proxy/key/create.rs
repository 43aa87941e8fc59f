//! `bailiwick llm-proxy key create`.

use std::process::ExitCode;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::client::{AGENTS, AnswerForm, Client, LLM_PROXIES, MEMBERS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a virtual key of an LLM proxy, and print it, this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick llm-proxy key create dev --name ci
  bailiwick llm-proxy key create dev --name ada --user ada@example.com
  bailiwick llm-proxy key create dev --name reviewer --agent reviewer --expires-at 2027-01-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
    /// The proxy's name or its id.
    #[arg(value_name = "PROXY")]
    proxy: String,
    /// What it is for.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// For which member what is spent with it counts, by address or id.
    #[arg(long, value_name = "MEMBER")]
    user: Option<String>,
    /// For which agent what is spent with it counts, by name or id.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// From when on it is not taken, such as 2027-01-01T00:00:00Z [default: never].
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&LLM_PROXIES, &arguments.proxy)?;
    let user = arguments.user.as_deref();
    let user = user.map(|text| client.id_of(&MEMBERS, text)).transpose()?;
    let agent = arguments.agent.as_deref();
    let agent = agent.map(|text| client.id_of(&AGENTS, text)).transpose()?;
    let body = json!({
        "name": arguments.name,
        "expires_at": arguments.expires_at,
        "user_id": user,
        "agent_id": agent,
    });
    let path = ["api", "llm-proxies", &id, "keys"];
    let made = client.send(Method::POST, &path, Some(&body), None)?;
    let columns = [("ID", "/id"), ("KEY", "/key"), ("EXPIRES", "/expires_at")];
    print_one(arguments.output, &made, &columns)?;
    Ok(Exit::Done.into())
}

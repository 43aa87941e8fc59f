//! `bailiwick vault connect`.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::finish;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{input, output};

/// Sign in at an MCP server, and put the access to it into a vault.
///
/// The server finds out who gives access to the MCP server (RFC 9728, RFC 8414), and registers there, unless a client is named. You open a URL in
/// a browser and agree; the page that it comes to in the end shows a word, which you write here. Without it nobody gets anything: who sends you
/// such a URL and asks you for the word wants your access.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault connect payments --url https://mcp.example.com/mcp
  bailiwick vault connect payments --url https://mcp.example.com/mcp --replace
  bailiwick vault connect payments --url https://mcp.example.com/mcp --client-id bailiwick --client-secret-file secret")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// The MCP server.
    #[arg(long, value_name = "URL")]
    url: String,
    /// What people call the credential.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Who the server is at the authorization server, if it may not register itself; its redirect URI is the server's URL and /oauth/callback.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The file of this client's secret; `-` is standard input.
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// What the access is to allow [default: what the MCP server says].
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Take the place of the credential that the vault has for this MCP server.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let secret = arguments.client_secret_file.as_deref();
    let body = json!({
        "vault_id": vault,
        "url": arguments.url,
        "client_id": arguments.client_id,
        "client_secret": secret.map(input::secret).transpose()?,
        "scope": arguments.scope,
        "name": arguments.name,
        "replace": arguments.replace,
    });
    let begun = client.send(Method::POST, &["api", "mcp-connections"], Some(&body), None)?;
    let (Some(id), Some(url)) = (begun["id"].as_str(), begun["authorize_url"].as_str()) else {
        return Err(client.not_understood().into());
    };
    output::print_to_stderr(&format!(
        "Open this in a browser, and agree there:\n\n  {url}\n\nWhat the page shows in the end: "
    ));
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word)?;
    if word.trim().is_empty() {
        output::print_to_stderr(&format!(
            "\nwithin ten minutes: bailiwick vault finish {id} WORD\n"
        ));
        return Ok(Exit::Done.into());
    }
    finish::finish(&client, (id, word.trim()), arguments.output)?;
    Ok(Exit::Done.into())
}

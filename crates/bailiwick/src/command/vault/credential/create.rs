//! `bailiwick vault credential create`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;
use crate::output;

/// Said of a credential whose secret goes into bodies.
const BODY_WARNING: &str = "warning: the secret goes into bodies of requests, too: whoever can have its hosts store a request and show it again gets it. \
                            `bailiwick organization credentials --body-injection off` rules that out for all credentials.\n";

/// Put a credential into a vault.
///
/// Its secret is read from a file or standard input: on a command line others could see it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["variable", "mcp_server", "file"]))]
#[command(group = clap::ArgGroup::new("hosts").args(["allowed_host", "any_host"]))]
#[command(after_help = "\
Examples:
  bailiwick vault credential create payments --variable API_TOKEN --allowed-host api.example.com --secret-file token
  bailiwick vault credential create payments --variable API_TOKEN --allowed-host api.example.com --header authorization --secret-file token
  bailiwick vault credential create payments --mcp-server https://mcp.example.com/ --secret-file - < token
  bailiwick vault credential create payments -f oauth.json")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The variable that stands for the secret in sandboxes.
    #[arg(
        long,
        value_name = "VARIABLE",
        requires = "secret_file",
        requires = "hosts"
    )]
    variable: Option<String>,
    /// A host that the secret of the variable goes to; may be given several times.
    #[arg(long, value_name = "HOST", requires = "variable")]
    allowed_host: Vec<String>,
    /// The secret of the variable goes to every host that the environment allows.
    #[arg(long, requires = "variable", conflicts_with = "allowed_host")]
    any_host: bool,
    /// A header field that the secret of the variable goes into; may be given several times [default: all of them].
    #[arg(long, value_name = "NAME", requires = "variable")]
    header: Vec<String>,
    /// The secret of the variable goes into bodies, too. An API that keeps what it is sent can give it out again.
    #[arg(long, requires = "variable")]
    body: bool,
    /// The MCP server that the secret, a bearer token, is for.
    #[arg(long, value_name = "URL", requires = "secret_file")]
    mcp_server: Option<String>,
    /// The file of the secret; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The whole credential in the shape of the wire API, secrets included; `-` is standard input.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        conflicts_with = "secret_file"
    )]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let body = Value::Object(body(arguments)?);
    let client = Client::new(&arguments.server, host)?;
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let path = ["v1", "vaults", &vault, "credentials"];
    let made = client.send(Method::POST, &path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    if made["auth"]["injection_location"]["body"] == json!(true) {
        output::print_to_stderr(BODY_WARNING);
    }
    Ok(Exit::Done.into())
}

fn body(arguments: &Arguments) -> anyhow::Result<Map<String, Value>> {
    let mut body = match &arguments.file {
        Some(file) => input::secret_object(file)?,
        None => Map::from_iter([("auth".to_owned(), auth(arguments)?)]),
    };
    if let Some(name) = &arguments.name {
        body.insert("display_name".to_owned(), json!(name));
    }
    Ok(body)
}

fn auth(arguments: &Arguments) -> anyhow::Result<Value> {
    let secret = match &arguments.secret_file {
        Some(file) => input::secret(file)?,
        None => return Err(BadInput::NoSecretFile.into()),
    };
    if let Some(url) = &arguments.mcp_server {
        return Ok(json!({"type": "static_bearer", "mcp_server_url": url, "token": secret}));
    }
    let networking = if arguments.any_host {
        json!({"type": "unrestricted"})
    } else {
        json!({"type": "limited", "allowed_hosts": arguments.allowed_host})
    };
    Ok(json!({
        "type": "environment_variable",
        "secret_name": arguments.variable,
        "secret_value": secret,
        "networking": networking,
        "injection_location": {"header": true, "body": arguments.body, "header_names": arguments.header},
    }))
}

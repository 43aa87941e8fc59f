//! Where an MCP server is or how it runs, as arguments of commands.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::bad_input::BadInput;
use crate::client::{Client, VAULTS};

/// Where an MCP server is, or how it runs.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// Where a remote server is.
    #[arg(long, value_name = "URL", conflicts_with_all = ["command", "args", "variables", "secrets", "packages", "port", "path"])]
    pub(super) url: Option<String>,
    /// The program of a server that runs in a sandbox of its environment.
    #[arg(long, value_name = "PROGRAM")]
    command: Option<String>,
    /// An argument of the program; may be given many times.
    #[arg(
        long = "arg",
        value_name = "TEXT",
        requires = "command",
        allow_hyphen_values = true
    )]
    args: Vec<String>,
    /// A variable of the program that is no secret; may be given many times.
    #[arg(long = "variable", value_name = "NAME=VALUE", requires = "command")]
    variables: Vec<String>,
    /// A variable with a secret of a vault, by name or id; may be given many times.
    #[arg(long = "secret", value_name = "NAME=VAULT", requires = "command")]
    secrets: Vec<String>,
    /// What it needs besides the packages of its environment; may be given many times.
    #[arg(long = "package", value_name = "MANAGER:PACKAGE", requires = "command")]
    packages: Vec<String>,
    /// The program is asked over HTTP at this port, and not over its standard input.
    #[arg(long, value_name = "PORT", requires = "command")]
    port: Option<u16>,
    /// The path that it answers at there [default: /mcp].
    #[arg(long, value_name = "PATH", requires = "port")]
    path: Option<String>,
}

impl Server {
    /// Puts it into the body of a request, if anything was said of it.
    pub(super) fn put(&self, client: &Client, body: &mut Map<String, Value>) -> anyhow::Result<()> {
        if let Some(url) = &self.url {
            body.insert("url".to_owned(), json!(url));
        }
        let Some(command) = &self.command else {
            return Ok(());
        };
        let mut variables = BTreeMap::new();
        for pair in &self.variables {
            let (name, value) = halves(pair)?;
            variables.insert(name, value);
        }
        let mut secrets = Vec::new();
        for pair in &self.secrets {
            let (variable, vault) = halves(pair)?;
            let vault = client.id_of(&VAULTS, vault)?;
            secrets.push(json!({"variable": variable, "vault_id": vault}));
        }
        body.insert("command".to_owned(), json!(command));
        body.insert("args".to_owned(), json!(self.args));
        body.insert("variables".to_owned(), json!(variables));
        body.insert("secrets".to_owned(), json!(secrets));
        let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for text in &self.packages {
            let halves = text.split_once(':');
            let (manager, package) = halves.ok_or_else(|| BadInput::NotAPackage(text.clone()))?;
            packages.entry(manager).or_default().push(package);
        }
        body.insert("packages".to_owned(), json!(packages));
        if let Some(port) = self.port {
            body.insert("transport".to_owned(), json!("http"));
            body.insert("port".to_owned(), json!(port));
        }
        if let Some(path) = &self.path {
            body.insert("path".to_owned(), json!(path));
        }
        Ok(())
    }
}

fn halves(pair: &str) -> Result<(&str, &str), BadInput> {
    pair.split_once('=')
        .ok_or_else(|| BadInput::NotAPair(pair.to_owned()))
}

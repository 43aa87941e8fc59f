//! What is sent of an MCP server: a URL, or a command.

use std::collections::BTreeMap;

use bailiwick_control::{
    CommandTransport, ControlError, HostedCommand, McpEntryChange, McpServerConfig,
    NewMcpEntryRequest, OnConflict, SecretVariable,
};
use bailiwick_model::limits::{
    MCP_ENTRY_ARGUMENT_BYTES, MCP_ENTRY_ARGUMENTS, MCP_ENTRY_PATH_CHARS, MCP_ENTRY_URL_CHARS,
    MCP_ENTRY_VARIABLE_NAME_BYTES, MCP_ENTRY_VARIABLES, MCP_GATEWAY_SERVER_CHARS, PACKAGE_BYTES,
    PACKAGES,
};
use bailiwick_model::{EnvironmentId, PackageManager, VaultId};
use bailiwick_wire::{FieldProblem, Schema};
use serde::{Deserialize, Deserializer};
use serde_json::json;

/// Where a self-hosted server answers, if nobody says otherwise.
const PATH: &str = "/mcp";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBody {
    name: String,
    environment_id: EnvironmentId,
    url: Option<String>,
    vault_id: Option<VaultId>,
    command: Option<String>,
    args: Option<Vec<String>>,
    variables: Option<BTreeMap<String, String>>,
    secrets: Option<Vec<SecretVariable>>,
    packages: Option<BTreeMap<PackageManager, Vec<String>>>,
    transport: Option<TransportWord>,
    port: Option<u16>,
    path: Option<String>,
}

/// What is absent stays; of where the server is or how it runs, all or nothing changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    name: Option<String>,
    environment_id: Option<EnvironmentId>,
    #[serde(default, deserialize_with = "present")]
    vault_id: Option<Option<VaultId>>,
    url: Option<String>,
    command: Option<String>,
    args: Option<Vec<String>>,
    variables: Option<BTreeMap<String, String>>,
    secrets: Option<Vec<SecretVariable>>,
    packages: Option<BTreeMap<PackageManager, Vec<String>>>,
    transport: Option<TransportWord>,
    port: Option<u16>,
    path: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TransportWord {
    Stdio,
    Http,
}

/// `null` is a value of its own.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<VaultId>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Where a server is or how it runs, as it was sent.
struct Sent {
    url: Option<String>,
    command: Option<String>,
    args: Option<Vec<String>>,
    variables: Option<BTreeMap<String, String>>,
    secrets: Option<Vec<SecretVariable>>,
    packages: Option<BTreeMap<PackageManager, Vec<String>>>,
    transport: Option<TransportWord>,
    port: Option<u16>,
    path: Option<String>,
}

fn wrong(field: &str, code: &'static str, message: &str, help: &str) -> ControlError {
    ControlError::Invalid(vec![FieldProblem {
        field: field.to_owned(),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }])
}

impl Sent {
    /// The server, if anything was said of it.
    fn server(self) -> Result<Option<McpServerConfig>, ControlError> {
        let says_how = self.args.is_some()
            || self.variables.is_some()
            || self.secrets.is_some()
            || self.packages.is_some()
            || self.transport.is_some()
            || self.port.is_some()
            || self.path.is_some();
        match (self.url, self.command) {
            (Some(url), None) if !says_how => Ok(Some(McpServerConfig::Remote { url })),
            (None, None) if !says_how => Ok(None),
            (None, Some(command)) => Ok(Some(McpServerConfig::SelfHosted(HostedCommand {
                command,
                args: self.args.unwrap_or_default(),
                variables: self.variables.unwrap_or_default(),
                secrets: self.secrets.unwrap_or_default(),
                packages: self.packages.unwrap_or_default(),
                transport: transport(self.transport, self.port, self.path)?,
            }))),
            (Some(_), _) | (None, None) => {
                let message =
                    "a server is at a URL, or is run by a command with what belongs to it";
                let help = "send `url`, or `command` with `args`, `variables`, `secrets`, `packages` and `transport`";
                Err(wrong("url", "url_or_command", message, help))
            }
        }
    }
}

fn transport(
    word: Option<TransportWord>,
    port: Option<u16>,
    path: Option<String>,
) -> Result<CommandTransport, ControlError> {
    match (word, port) {
        (Some(TransportWord::Http) | None, Some(port)) => Ok(CommandTransport::Http {
            port,
            path: path.unwrap_or_else(|| PATH.to_owned()),
        }),
        (Some(TransportWord::Stdio) | None, None) if path.is_none() => Ok(CommandTransport::Stdio),
        (Some(TransportWord::Stdio | TransportWord::Http) | None, _) => {
            let message = "a server is asked over stdio, or over http at a port";
            let help = "send `transport` http with `port`, or stdio without `port` and `path`";
            Err(wrong("transport", "invalid_transport", message, help))
        }
    }
}

impl NewBody {
    pub(super) fn schema() -> Schema {
        server_fields(
            Schema::object()
                .needs("name", name())
                .needs("environment_id", Schema::id::<EnvironmentId>())
                .may_be("vault_id", vault()),
        )
        .example(json!({"name": "docs", "environment_id": "env_1111111111111111111111", "url": "https://mcp.example.com/mcp"}))
        .named("NewMcpCatalogEntry")
    }

    pub(super) fn request(self) -> Result<NewMcpEntryRequest, ControlError> {
        let sent = Sent {
            url: self.url,
            command: self.command,
            args: self.args,
            variables: self.variables,
            secrets: self.secrets,
            packages: self.packages,
            transport: self.transport,
            port: self.port,
            path: self.path,
        };
        let nothing = || {
            let message = "says neither where the server is nor how it is run";
            wrong("url", "url_or_command", message, "send `url` or `command`")
        };
        Ok(NewMcpEntryRequest {
            name: self.name,
            environment: self.environment_id,
            server: sent.server()?.ok_or_else(nothing)?,
            vault: self.vault_id,
        })
    }
}

impl ChangeBody {
    pub(super) fn schema() -> Schema {
        server_fields(
            Schema::object()
                .may("name", name())
                .may("environment_id", Schema::id::<EnvironmentId>())
                .may_be("vault_id", vault()),
        )
        .example(json!({"url": "https://mcp.example.com/v2"}))
        .named("McpCatalogEntryChange")
    }

    pub(super) fn change(
        self,
        on_conflict: OnConflict,
        version: Option<i64>,
    ) -> Result<McpEntryChange, ControlError> {
        let sent = Sent {
            url: self.url,
            command: self.command,
            args: self.args,
            variables: self.variables,
            secrets: self.secrets,
            packages: self.packages,
            transport: self.transport,
            port: self.port,
            path: self.path,
        };
        Ok(McpEntryChange {
            name: self.name,
            environment: self.environment_id,
            server: sent.server()?,
            vault: self.vault_id,
            on_conflict,
            version,
        })
    }
}

fn name() -> Schema {
    Schema::chars(1..=MCP_GATEWAY_SERVER_CHARS)
        .says("Letters, digits, `-` and `_`; no `__`, and no `_` at the end: its tools are called `name__tool`.")
}

fn vault() -> Schema {
    Schema::id::<VaultId>().says("Whose credential for the URL is used.")
}

fn server_fields(schema: Schema) -> Schema {
    let argument = || Schema::chars(0..=MCP_ENTRY_ARGUMENT_BYTES);
    schema
        .may(
            "url",
            Schema::chars(1..=MCP_ENTRY_URL_CHARS).says("Of a remote server."),
        )
        .may(
            "command",
            Schema::chars(1..=MCP_ENTRY_ARGUMENT_BYTES)
                .says("Of a server that runs in a sandbox of its environment."),
        )
        .may("args", Schema::list_of(0..=MCP_ENTRY_ARGUMENTS, argument()))
        .may(
            "variables",
            Schema::any().says("An object of texts: variables that are no secrets."),
        )
        .may(
            "secrets",
            Schema::list_of(0..=MCP_ENTRY_VARIABLES, secret_schema()),
        )
        .may("packages", packages_schema())
        .may("transport", Schema::words(["stdio", "http"]))
        .may("port", Schema::number(1..=65_535))
        .may("path", Schema::chars(1..=MCP_ENTRY_PATH_CHARS))
}

/// What each manager is to install.
pub(super) fn packages_schema() -> Schema {
    let managers = PackageManager::ALL.iter().map(|manager| manager.name());
    let specs = || Schema::list_of(0..=PACKAGES, Schema::chars(1..=PACKAGE_BYTES));
    let about = "What it needs besides the packages of its environment.";
    managers
        .fold(Schema::object().says(about), |all, manager| {
            all.may(manager, specs())
        })
        .named("McpServerPackages")
}

/// A variable with a secret.
pub(super) fn secret_schema() -> Schema {
    Schema::object()
        .needs("variable", Schema::chars(1..=MCP_ENTRY_VARIABLE_NAME_BYTES))
        .needs("vault_id", Schema::id::<VaultId>())
        .named("McpServerSecret")
}

//! Editors' files of MCP servers: `mcpServers`, as most of them have it, or `servers`.

use std::collections::BTreeMap;

use bailiwick_model::limits::MCP_IMPORT_SERVERS;
use serde::Deserialize;
use serde_json::{Value, json};

/// Why a file cannot be imported. Nothing of what may be a secret is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotImported {
    /// It is no such file.
    #[error("{file} has no `mcpServers` and no `servers` with MCP servers in it: {why}")]
    Form { file: String, why: String },
    /// There are too many.
    #[error("{file} has more than {MCP_IMPORT_SERVERS} servers")]
    TooMany { file: String },
    /// One is neither at a URL nor run by a command, or both.
    #[error("the server {0:?} has neither `url` nor `command`, or both")]
    Place(String),
    /// A header, which is where tokens are.
    #[error(
        "the server {server:?} has the header {header:?}: put its secret into a vault as a credential for the server's URL, leave the header out, and import with --vault"
    )]
    Header { server: String, header: String },
    /// A variable that looks like a secret.
    #[error(
        "the server {server:?} has the variable {variable:?}, which looks like a secret: put it into a vault, leave it out, and enter the server with `bailiwick mcp-catalog create --secret {variable}=VAULT`"
    )]
    Variable { server: String, variable: String },
    /// A value that an editor asks a person for.
    #[error("the server {server:?} has a value that an editor would fill in: {value:?}")]
    Placeholder { server: String, value: String },
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "mcpServers")]
    mcp_servers: Option<BTreeMap<String, Server>>,
    servers: Option<BTreeMap<String, Server>>,
}

/// Editors have fields of their own besides, which say nothing of the server.
#[derive(Deserialize)]
struct Server {
    url: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
}

/// Words in the names of variables that are secrets.
const SECRET_WORDS: [&str; 8] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "API_KEY",
    "APIKEY",
    "CREDENTIAL",
    "PRIVATE_KEY",
];

/// Bodies of requests, without an environment.
pub(super) fn servers(file: &str, text: &str) -> Result<Vec<Value>, NotImported> {
    let form = |why: &str| NotImported::Form {
        file: file.to_owned(),
        why: why.to_owned(),
    };
    let read: File = serde_json::from_str(text).map_err(|error| {
        // What it quotes of the file may be a secret.
        form(&format!("it is no such JSON at line {}", error.line()))
    })?;
    let named = match (read.mcp_servers, read.servers) {
        (Some(named), None) | (None, Some(named)) => named,
        (Some(_), Some(_)) => return Err(form("it has both")),
        (None, None) => return Err(form("it has neither")),
    };
    if named.len() > MCP_IMPORT_SERVERS {
        return Err(NotImported::TooMany {
            file: file.to_owned(),
        });
    }
    named
        .into_iter()
        .map(|(name, server)| body(name, server))
        .collect()
}

fn body(name: String, server: Server) -> Result<Value, NotImported> {
    if let Some(header) = server.headers.into_keys().next() {
        return Err(NotImported::Header {
            server: name,
            header,
        });
    }
    let mut variables = BTreeMap::new();
    for (variable, value) in server.env {
        let upper = variable.to_uppercase();
        if SECRET_WORDS.iter().any(|word| upper.contains(word)) {
            return Err(NotImported::Variable {
                server: name,
                variable,
            });
        }
        let text = match value {
            Value::String(text) => text,
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => other.to_string(),
        };
        variables.insert(variable, text);
    }
    let places = server.url.iter().chain(&server.command);
    let values = places.chain(&server.args).chain(variables.values());
    if let Some(value) = values.into_iter().find(|value| value.contains("${")) {
        return Err(NotImported::Placeholder {
            server: name,
            value: value.clone(),
        });
    }
    match (server.url, server.command) {
        (Some(url), None) if server.args.is_empty() && variables.is_empty() => {
            Ok(json!({"name": name, "url": url}))
        }
        (None, Some(command)) => Ok(json!({
            "name": name,
            "command": command,
            "args": server.args,
            "variables": variables,
        })),
        (Some(_), _) | (None, None) => Err(NotImported::Place(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &Value) -> Result<Vec<Value>, NotImported> {
        servers("mcp.json", &text.to_string())
    }

    #[test]
    fn both_forms_of_editors_are_read() {
        let remote = json!({"docs": {"type": "http", "url": "https://a.example/mcp"}});
        let expect = vec![json!({"name": "docs", "url": "https://a.example/mcp"})];
        assert_eq!(read(&json!({"mcpServers": remote})).unwrap(), expect);
        assert_eq!(
            read(&json!({"servers": remote, "inputs": []})).unwrap(),
            expect
        );
        let local = json!({"files": {"command": "npx", "args": ["-y", "x"], "env": {"DEBUG": 1}}});
        let expect = json!({"name": "files", "command": "npx", "args": ["-y", "x"], "variables": {"DEBUG": "1"}});
        assert_eq!(read(&json!({"mcpServers": local})).unwrap(), [expect]);
    }

    #[test]
    fn secrets_are_refused_with_where_they_belong_and_never_shown() {
        let headers = json!({"Authorization": "Bearer sesame"});
        let header = json!({"servers": {"a": {"url": "https://a.example", "headers": headers}}});
        let error = read(&header).unwrap_err().to_string();
        assert!(
            error.contains("into a vault") && !error.contains("sesame"),
            "{error}"
        );
        let variable =
            json!({"servers": {"a": {"command": "x", "env": {"GITHUB_TOKEN": "sesame"}}}});
        let error = read(&variable).unwrap_err().to_string();
        assert!(error.contains("--secret GITHUB_TOKEN=VAULT"), "{error}");
        assert!(!error.contains("sesame"), "{error}");
        let asked = json!({"servers": {"a": {"command": "x", "args": ["${input:key}"]}}});
        assert!(matches!(read(&asked), Err(NotImported::Placeholder { .. })));
    }

    #[test]
    fn what_is_no_file_of_servers_is_refused() {
        for text in ["[]", "{}", "{\"servers\": 1}", "nonsense"] {
            assert!(servers("mcp.json", text).is_err(), "{text}");
        }
        let both = json!({"servers": {"a": {"url": "https://a.example", "command": "x"}}});
        assert!(matches!(read(&both), Err(NotImported::Place(_))));
    }
}

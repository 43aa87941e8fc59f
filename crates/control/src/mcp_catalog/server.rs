//! Where an MCP server of the catalog is, or how it is run.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::limits::{
    MCP_ENTRY_ARGUMENT_BYTES, MCP_ENTRY_ARGUMENTS, MCP_ENTRY_PATH_CHARS, MCP_ENTRY_URL_CHARS,
    MCP_ENTRY_VARIABLE_NAME_BYTES, MCP_ENTRY_VARIABLES,
};
use bailiwick_model::{Decision, PackageManager, PackageSpec, Packages, VaultId, Verdict};
use bailiwick_outbound::HttpUrl;
use bailiwick_policy::{HostFacts, Policy};
use bailiwick_store::StoreError;
use bailiwick_wire::FieldProblem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::error::ControlError;
use crate::names::problem;

/// Where an MCP server is, or how it is run, in the form in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum McpServerConfig {
    /// Somewhere, over Streamable HTTP or the transport before it.
    Remote {
        /// Its address.
        url: String,
    },
    /// In a sandbox of its environment.
    SelfHosted(HostedCommand),
}

/// A server that runs in a sandbox of its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedCommand {
    /// The program.
    pub command: String,
    /// What it is started with.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables that are no secrets.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Variables that stand for secrets.
    #[serde(default)]
    pub secrets: Vec<SecretVariable>,
    /// What it needs besides the packages of its environment: what each manager is to install.
    #[serde(default)]
    pub packages: BTreeMap<PackageManager, Vec<String>>,
    /// How it is talked to.
    pub transport: CommandTransport,
}

/// A variable whose value is a secret: that of the credential of the vault for a variable of this name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretVariable {
    /// The variable.
    pub variable: String,
    /// Whose credential it is.
    pub vault_id: VaultId,
}

/// How a self-hosted server is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandTransport {
    /// Over its standard input and output.
    Stdio,
    /// Over HTTP, inside its sandbox.
    Http {
        /// Where it listens.
        port: u16,
        /// The path at which it answers.
        path: String,
    },
}

impl McpServerConfig {
    pub(crate) fn stored(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column: "config" })
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers")
    }

    /// Of which vaults something becomes a variable.
    pub(super) fn vaults(&self) -> impl Iterator<Item = &VaultId> {
        let secrets = match self {
            Self::Remote { .. } => &[][..],
            Self::SelfHosted(server) => &server.secrets,
        };
        secrets.iter().map(|secret| &secret.vault_id)
    }

    /// For the audit log.
    pub(super) fn evidence(&self) -> Value {
        match self {
            Self::Remote { url } => json!({"type": "remote", "url": url}),
            Self::SelfHosted(server) => json!({
                "type": "self_hosted",
                "command": server.command,
                "args": server.args,
                "variables": server.variables.keys().collect::<Vec<_>>(),
                "secrets": server.secrets,
                "packages": server.packages,
                "transport": server.transport,
            }),
        }
    }

    pub(super) fn check(&self) -> Result<(), ControlError> {
        let server = match self {
            Self::Remote { .. } => return server_url(self).map(drop),
            Self::SelfHosted(server) => server,
        };
        let mut problems = Vec::new();
        server.check_command(&mut problems);
        server.check_variables(&mut problems);
        server.check_packages(&mut problems);
        server.check_transport(&mut problems);
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ControlError::Invalid(problems)),
        }
    }
}

impl HostedCommand {
    fn check_command(&self, problems: &mut Vec<FieldProblem>) {
        let fits = |text: &str| text.len() <= MCP_ENTRY_ARGUMENT_BYTES && !text.contains('\0');
        if self.command.trim().is_empty() || !fits(&self.command) {
            let message = "is no program that can be started";
            problems.push(wrong("command", "invalid_command", message, "name one"));
        }
        if self.args.len() > MCP_ENTRY_ARGUMENTS || !self.args.iter().all(|text| fits(text)) {
            let message = format!(
                "has more than {MCP_ENTRY_ARGUMENTS} arguments, or one of more than {MCP_ENTRY_ARGUMENT_BYTES} bytes or with a zero byte"
            );
            problems.push(wrong("args", "invalid_args", &message, "write less"));
        }
    }

    fn check_variables(&self, problems: &mut Vec<FieldProblem>) {
        let secret = self.secrets.iter().map(|secret| &secret.variable);
        let names: Vec<_> = self.variables.keys().chain(secret).collect();
        if names.len() > MCP_ENTRY_VARIABLES {
            let message = format!("there are more than {MCP_ENTRY_VARIABLES} variables");
            problems.push(wrong("variables", "too_many", &message, "name fewer"));
        }
        let fits =
            |value: &String| value.len() <= MCP_ENTRY_ARGUMENT_BYTES && !value.contains('\0');
        if !self.variables.values().all(fits) {
            let message =
                format!("a value has more than {MCP_ENTRY_ARGUMENT_BYTES} bytes, or a zero byte");
            problems.push(wrong("variables", "invalid_value", &message, "write less"));
        }
        let mut known = BTreeSet::new();
        for name in names {
            if !is_variable(name) {
                let message = format!("{name:?} is no name of a variable");
                let help = "use letters, digits and _, no digit first";
                problems.push(wrong("variables", "invalid_variable", &message, help));
            }
            if !known.insert(name) {
                let message = format!("{name:?} is there twice");
                let help = "name each variable once, in `variables` or in `secrets`";
                problems.push(wrong("secrets", "variable_twice", &message, help));
            }
        }
    }

    fn check_packages(&self, problems: &mut Vec<FieldProblem>) {
        if let Err(message) = self.all_packages() {
            let help = "name each package once, as its manager takes it";
            problems.push(wrong("packages", "invalid_package", &message, help));
        }
    }

    /// Its packages, or what is wrong with the first that is none.
    pub(super) fn all_packages(&self) -> Result<Packages, String> {
        let mut packages = Packages::default();
        for (manager, texts) in &self.packages {
            for text in texts {
                let spec = PackageSpec::parse(*manager, text);
                let spec = spec.map_err(|why| format!("{text:?} of {manager}: {why}"))?;
                packages.add(spec).map_err(|why| why.to_string())?;
            }
        }
        Ok(packages)
    }

    fn check_transport(&self, problems: &mut Vec<FieldProblem>) {
        let CommandTransport::Http { port, path } = &self.transport else {
            return;
        };
        if *port == 0 {
            let message = "is no port that anybody listens at";
            problems.push(wrong("port", "invalid_port", message, "name one"));
        }
        let is_path = path.starts_with('/')
            && path.chars().count() <= MCP_ENTRY_PATH_CHARS
            && path.chars().all(|c| c.is_ascii_graphic() && c != '#');
        if !is_path {
            let message = "is no path of a URL";
            problems.push(wrong("path", "invalid_path", message, "write /mcp"));
        }
    }
}

fn wrong(field: &str, code: &'static str, message: &str, help: &str) -> FieldProblem {
    FieldProblem {
        field: field.to_owned(),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

fn is_variable(name: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MCP_ENTRY_VARIABLE_NAME_BYTES).contains(&name.len())
        && name.bytes().all(is_usual)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Where a remote server is; none of one that runs here.
pub(crate) fn server_url(server: &McpServerConfig) -> Result<Option<HttpUrl>, ControlError> {
    let McpServerConfig::Remote { url: text } = server else {
        return Ok(None);
    };
    let no = |message: &str| {
        let help = "write https://HOST/PATH of the server";
        problem("url", "invalid_url", message, help)
    };
    if text.chars().count() > MCP_ENTRY_URL_CHARS {
        return Err(no("is too long"));
    }
    let url: Url = text.parse().map_err(|_| no("is no URL"))?;
    if url.fragment().is_some() {
        return Err(no("has a fragment, which no server is sent"));
    }
    let url = HttpUrl::try_from(url).map_err(|why| no(&why.to_string()))?;
    Ok(Some(url))
}

/// Why a policy does not let a server be reached, if it does not, by its name alone.
pub(crate) fn denial(policy: &Policy, url: &HttpUrl) -> Option<Decision> {
    let decision = policy.explain(url.destination(), &HostFacts::unknown());
    match decision.verdict {
        Verdict::Allow => None,
        Verdict::Deny => Some(decision),
    }
}

//! What a credential authenticates, and how: what of `auth` is no secret. Stored and answered in the same form, with every key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

/// What a credential authenticates, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CredentialAuth {
    /// Requests to one MCP server, with a token that OAuth gave.
    McpOauth(McpOauth),
    /// Requests to one MCP server, with a token that stays.
    StaticBearer(StaticBearer),
    /// Requests of programs in the sandbox, in which a placeholder stands for the secret.
    EnvironmentVariable(EnvironmentVariable),
}

/// A token that OAuth gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpOauth {
    /// The MCP server.
    pub mcp_server_url: String,
    /// From when on the access token is not taken, if that is known.
    pub expires_at: Option<Timestamp>,
    /// How to get another one.
    pub refresh: Option<OauthRefresh>,
}

/// How to get another access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthRefresh {
    /// Who asks.
    pub client_id: String,
    /// Where to ask.
    pub token_endpoint: String,
    /// How who asks proves who they are.
    pub token_endpoint_auth: TokenEndpointAuth,
    /// What for (RFC 8707).
    pub resource: Option<String>,
    /// What for (RFC 6749, section 3.3).
    pub scope: Option<String>,
}

/// How a client proves to a token endpoint who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEndpointAuth {
    /// Which way.
    pub r#type: TokenEndpointAuthKind,
}

/// The ways of OAuth's dynamic registration (RFC 7591, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthKind {
    /// It does not: a public client.
    None,
    /// With HTTP Basic.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
}

/// A token that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticBearer {
    /// The MCP server.
    pub mcp_server_url: String,
}

/// A variable that stands for a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentVariable {
    /// The variable.
    pub secret_name: String,
    /// To which hosts the secret goes.
    pub networking: CredentialNetworking,
    /// In which parts of a request.
    pub injection_location: InjectionLocation,
}

/// To which hosts a secret goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CredentialNetworking {
    /// To every host that the environment's policy allows.
    Unrestricted,
    /// To these; to none if there are none.
    Limited {
        /// Names, `*.` and a name, and IPv4 addresses.
        allowed_hosts: Vec<String>,
    },
}

/// In which parts of a request a placeholder is replaced: of a credential in at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectionLocation {
    /// In the values of headers.
    pub header: bool,
    /// In the body. An API that keeps what it is sent can give the secret out again.
    pub body: bool,
    /// Of headers, in these alone, in lower case; in all if there are none. An extension of the Managed Agents API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_names: Vec<String>,
}

impl InjectionLocation {
    /// Where a credential that says nothing of it is put.
    pub(super) fn everywhere() -> Self {
        Self {
            header: true,
            body: true,
            header_names: Vec::new(),
        }
    }
}

impl CredentialAuth {
    /// The word in `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::McpOauth(_) => "mcp_oauth",
            Self::StaticBearer(_) => "static_bearer",
            Self::EnvironmentVariable(_) => "environment_variable",
        }
    }

    /// What only one active credential of a vault may be for: an MCP server or a variable, in the form in which they are compared.
    pub fn target(&self) -> String {
        match self {
            Self::McpOauth(McpOauth { mcp_server_url, .. })
            | Self::StaticBearer(StaticBearer { mcp_server_url }) => server_target(mcp_server_url),
            Self::EnvironmentVariable(variable) => format!("secret_name {}", variable.secret_name),
        }
    }
}

/// An MCP server as a target: scheme and host in lower case, without the scheme's own port and a last slash.
fn server_target(url: &str) -> String {
    let normal = Url::parse(url).map_or_else(
        |_| url.to_owned(),
        |mut url| {
            let path = url
                .path()
                .strip_suffix('/')
                .unwrap_or(url.path())
                .to_owned();
            url.set_path(&path);
            url.to_string()
        },
    );
    // A path that is a slash and no path are written alike.
    format!(
        "mcp_server_url {}",
        normal.strip_suffix('/').unwrap_or(&normal)
    )
}

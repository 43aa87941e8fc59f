//! MCP servers, skills and identities of an agent.

use bailiwick_model::limits;
use serde::Serialize;
use url::Url;

use crate::request::{Place, Reader};

/// An MCP server that an agent may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum McpServer {
    /// Over Streamable HTTP, or the older transport with server-sent events.
    Url {
        /// Unique among the servers of the agent.
        name: String,
        /// Where it is.
        url: String,
    },
}

/// A skill of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentSkill {
    /// Whose it is.
    #[serde(rename = "type")]
    pub source: SkillSource,
    /// Which.
    pub skill_id: String,
    /// A version, or `latest`.
    pub version: String,
}

/// Whose a skill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkillSource {
    /// One that comes with the service.
    Anthropic,
    /// The organization's.
    Custom,
}

/// As whom an agent acts towards other services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExecutionIdentity {
    /// A service account.
    ServiceAccount,
    /// A role of AWS.
    AwsRole {
        /// Its name.
        role_arn: String,
    },
}

impl McpServer {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Url { name, .. } => name,
        }
    }

    pub(crate) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let (name, url) = (
                fields.required(reader, "name"),
                fields.required(reader, "url"),
            );
            reader.word(&kind?, &[("url", ())])?;
            let name = reader.name(&name?, 1..=limits::MCP_SERVER_NAME_CHARS)?;
            Some(Self::Url {
                name: name.to_owned(),
                url: server_url(reader, &url?)?,
            })
        })
    }
}

/// A URL without user and password: those belong into a vault, and everybody may see an agent.
fn server_url(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.text(place, 1..=limits::MCP_SERVER_URL_CHARS)?;
    let wrong = match Url::parse(text) {
        Err(error) => format!("is no URL: {error}"),
        Ok(url) if !matches!(url.scheme(), "https" | "http") => {
            "begins with neither https:// nor http://".to_owned()
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user or a password".to_owned()
        }
        Ok(_) => return Some(text.to_owned()),
    };
    let help = "write https://HOST/PATH, and keep credentials in a vault";
    reader.refuse(&place.path, "invalid_url", wrong, help);
    None
}

impl AgentSkill {
    pub(crate) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        const SOURCES: &[(&str, SkillSource)] = &[
            ("anthropic", SkillSource::Anthropic),
            ("custom", SkillSource::Custom),
        ];
        reader.object(place, |reader, fields| {
            let source = fields.required(reader, "type");
            let (id, version) = (fields.required(reader, "skill_id"), fields.take("version"));
            Some(Self {
                source: reader.word(&source?, SOURCES)?,
                skill_id: reader.name(&id?, 1..=limits::SKILL_ID_CHARS)?.to_owned(),
                version: match version {
                    Some(place) => reader.name(&place, 1..=limits::SKILL_ID_CHARS)?.to_owned(),
                    None => "latest".to_owned(),
                },
            })
        })
    }
}

impl ExecutionIdentity {
    pub(crate) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let arn = fields.take("role_arn");
            let needs_arn =
                reader.word(&kind?, &[("service_account", false), ("aws_role", true)])?;
            match (needs_arn, arn) {
                (false, None) => Some(Self::ServiceAccount),
                (false, Some(arn)) => {
                    let message = "a service account has no role of AWS";
                    reader.refuse(&arn.path, "unknown_field", message, "remove it");
                    None
                }
                (true, Some(arn)) => {
                    let role_arn = reader.name(&arn, 1..=limits::ROLE_ARN_CHARS)?.to_owned();
                    Some(Self::AwsRole { role_arn })
                }
                (true, None) => {
                    let path = format!("{}.role_arn", place.path);
                    let message = "`role_arn` is needed";
                    reader.refuse(&path, "missing_field", message, "add `role_arn`");
                    None
                }
            }
        })
    }
}

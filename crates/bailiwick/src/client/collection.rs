//! What a server has many of, and how people call one of them.

use bailiwick_model::{
    AgentId, EnvironmentId, FileId, KnowledgeConnectorId, LlmProxyId, McpCatalogEntryId,
    McpGatewayId, ModelUpstreamId, RoleId, ServiceAccountId, SessionId, SkillId, TeamId, UserId,
    VaultId,
};
use serde_json::Value;

use super::{Client, ClientError};

/// Things of one kind.
pub(crate) struct Collection {
    /// Where they are.
    pub(crate) path: &'static [&'static str],
    /// What one is called.
    noun: &'static str,
    /// The command that lists them.
    listed_by: &'static str,
    /// The most of a page.
    page: &'static str,
    id: &'static str,
    name: &'static str,
    is_id: fn(&str) -> bool,
}

pub(crate) const ENVIRONMENTS: Collection = Collection {
    path: &["api", "environments"],
    noun: "environment",
    listed_by: "bailiwick environment list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<EnvironmentId>().is_ok(),
};

/// With where they were placed; everything else of them is at `/v1/agents`.
pub(crate) const AGENTS: Collection = Collection {
    path: &["api", "agents"],
    noun: "agent",
    listed_by: "bailiwick agent list",
    page: "100",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<AgentId>().is_ok(),
};

pub(crate) const VAULTS: Collection = Collection {
    path: &["v1", "vaults"],
    noun: "vault",
    listed_by: "bailiwick vault list",
    page: "100",
    id: "id",
    name: "display_name",
    is_id: |text| text.parse::<VaultId>().is_ok(),
};

/// Their names are addresses of mail.
pub(crate) const MEMBERS: Collection = Collection {
    path: &["api", "members"],
    noun: "member",
    listed_by: "bailiwick member list",
    page: "1000",
    id: "user_id",
    name: "email",
    is_id: |text| text.parse::<UserId>().is_ok(),
};

pub(crate) const ROLES: Collection = Collection {
    path: &["api", "roles"],
    noun: "role",
    listed_by: "bailiwick role list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<RoleId>().is_ok(),
};

pub(crate) const MODEL_UPSTREAMS: Collection = Collection {
    path: &["api", "model-upstreams"],
    noun: "model upstream",
    listed_by: "bailiwick model-upstream list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<ModelUpstreamId>().is_ok(),
};

pub(crate) const LLM_PROXIES: Collection = Collection {
    path: &["api", "llm-proxies"],
    noun: "LLM proxy",
    listed_by: "bailiwick llm-proxy list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<LlmProxyId>().is_ok(),
};

pub(crate) const MCP_CATALOG: Collection = Collection {
    path: &["api", "mcp-catalog"],
    noun: "MCP server of the catalog",
    listed_by: "bailiwick mcp-catalog list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<McpCatalogEntryId>().is_ok(),
};

pub(crate) const MCP_GATEWAYS: Collection = Collection {
    path: &["api", "mcp-gateways"],
    noun: "MCP gateway",
    listed_by: "bailiwick mcp-gateway list",
    page: "100",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<McpGatewayId>().is_ok(),
};

pub(crate) const KNOWLEDGE_CONNECTORS: Collection = Collection {
    path: &["api", "knowledge-connectors"],
    noun: "knowledge connector",
    listed_by: "bailiwick knowledge-connector list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<KnowledgeConnectorId>().is_ok(),
};

pub(crate) const TEAMS: Collection = Collection {
    path: &["api", "teams"],
    noun: "team",
    listed_by: "bailiwick team list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<TeamId>().is_ok(),
};

pub(crate) const SERVICE_ACCOUNTS: Collection = Collection {
    path: &["api", "service-accounts"],
    noun: "service account",
    listed_by: "bailiwick service-account list",
    page: "1000",
    id: "id",
    name: "name",
    is_id: |text| text.parse::<ServiceAccountId>().is_ok(),
};

pub(crate) const SESSIONS: Collection = Collection {
    path: &["v1", "sessions"],
    noun: "session",
    listed_by: "bailiwick session list",
    page: "100",
    id: "id",
    name: "title",
    is_id: |text| text.parse::<SessionId>().is_ok(),
};

pub(crate) const FILES: Collection = Collection {
    path: &["v1", "files"],
    noun: "file",
    listed_by: "bailiwick file list",
    page: "1000",
    id: "id",
    name: "filename",
    is_id: |text| text.parse::<FileId>().is_ok(),
};

pub(crate) const SKILLS: Collection = Collection {
    path: &["v1", "skills"],
    noun: "skill",
    listed_by: "bailiwick skill list",
    page: "1000",
    id: "id",
    name: "display_name",
    is_id: |text| text.parse::<SkillId>().is_ok(),
};

impl Client {
    /// All of a collection: each page of it.
    pub(crate) fn all(
        &self,
        of: &Collection,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Vec<Value>> {
        self.list(of.path, of.page, query)
    }

    /// All pages of a list.
    pub(crate) fn list(
        &self,
        path: &[&str],
        page: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Vec<Value>> {
        self.pages(page, |of_page| {
            let query = [query, of_page].concat();
            self.get(path, &query)
        })
    }

    /// All pages of a list that a body asks for.
    pub(crate) fn list_by(
        &self,
        path: &[&str],
        page: &str,
        body: &Value,
    ) -> anyhow::Result<Vec<Value>> {
        self.pages(page, |of_page| self.ask(path, of_page, body))
    }

    fn pages(
        &self,
        page: &str,
        ask: impl Fn(&[(&str, &str)]) -> anyhow::Result<Value>,
    ) -> anyhow::Result<Vec<Value>> {
        let (mut all, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut of_page = vec![("limit", page)];
            of_page.extend(next.as_deref().map(|next| ("page", next)));
            let mut found = ask(&of_page)?;
            let Value::Array(data) = found["data"].take() else {
                return Err(self.not_understood().into());
            };
            all.extend(data);
            match found["next_page"].as_str() {
                Some(further) => next = Some(further.to_owned()),
                None => return Ok(all),
            }
        }
    }

    /// The id of the one that has this id or name. Archived ones have an id alone.
    pub(crate) fn id_of(&self, of: &Collection, text: &str) -> anyhow::Result<String> {
        if (of.is_id)(text) {
            return Ok(text.to_owned());
        }
        let wanted = name_key(text);
        let has_name = |found: &&Value| {
            let name = found[of.name].as_str();
            name.is_some_and(|name| name_key(name) == wanted)
        };
        let all = self.all(of, &[])?;
        let found = all.iter().filter(has_name);
        let ids: Vec<_> = found.filter_map(|found| found[of.id].as_str()).collect();
        let (noun, text) = (of.noun, text.to_owned());
        match ids.as_slice() {
            [id] => Ok((*id).to_owned()),
            [] => Err(ClientError::Nothing {
                noun,
                text,
                listed_by: of.listed_by,
            }
            .into()),
            several => {
                let ids = several.iter().map(|id| (*id).to_owned()).collect();
                Err(ClientError::Several { noun, text, ids }.into())
            }
        }
    }
}

/// Names are the same without regard to case and to what is around them, as on the server.
pub(crate) fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

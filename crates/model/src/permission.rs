//! What somebody may do in an organization: `resource:verb` words, and the roles that are made of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// One thing that somebody may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])* $name,)+
        }

        impl Permission {
            /// All of them, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// `resource:verb`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

permissions! {
    /// See environments, their policies and what they may reach.
    EnvironmentRead = "environment:read";
    /// Create, change, archive and delete environments and the organization's policies.
    EnvironmentAdmin = "environment:admin";
    /// Assign resources to restricted environments.
    EnvironmentDeployToRestricted = "environment:deploy-to-restricted";
    /// See agents.
    AgentRead = "agent:read";
    /// Create, change and archive agents.
    AgentWrite = "agent:write";
    /// See sessions and what happened in them.
    SessionRead = "session:read";
    /// Create sessions and send events to them.
    SessionWrite = "session:write";
    /// See vaults and credentials, never their secrets.
    VaultRead = "vault:read";
    /// Create, change and delete vaults and credentials.
    VaultWrite = "vault:write";
    /// See and read files.
    FileRead = "file:read";
    /// Upload and delete files.
    FileWrite = "file:write";
    /// See and read skills.
    SkillRead = "skill:read";
    /// Create and delete skills and their versions.
    SkillWrite = "skill:write";
    /// See the work queues of self-hosted environments.
    WorkRead = "work:read";
    /// Take, prolong, stop and mark work.
    WorkWrite = "work:write";
    /// See users, members, teams, roles and grants.
    MemberRead = "member:read";
    /// Invite and remove members, change their roles and teams.
    MemberAdmin = "member:admin";
    /// Make and change roles.
    RoleAdmin = "role:admin";
    /// Make and revoke the keys of oneself.
    KeyWrite = "key:write";
    /// Make and revoke the keys of everybody, service accounts and environments.
    KeyAdmin = "key:admin";
    /// Change the organization's name and settings.
    OrganizationAdmin = "organization:admin";
    /// See which models there are and which servers answer for them, never their keys.
    ModelUpstreamRead = "model-upstream:read";
    /// Say which servers answer for models, and set the keys that they know the organization by.
    ModelUpstreamAdmin = "model-upstream:admin";
    /// See LLM proxies and their virtual keys, never a key itself.
    LlmProxyRead = "llm-proxy:read";
    /// Make, change and delete LLM proxies and their virtual keys.
    LlmProxyWrite = "llm-proxy:write";
    /// Ask models by way of LLM proxies.
    LlmProxyUse = "llm-proxy:use";
    /// See which MCP servers there are, and what they offer.
    McpCatalogRead = "mcp-catalog:read";
    /// Enter MCP servers into the catalog, change and take them out.
    McpCatalogWrite = "mcp-catalog:write";
    /// See MCP gateways and their virtual keys, never a key itself.
    McpGatewayRead = "mcp-gateway:read";
    /// Make, change and delete MCP gateways and their virtual keys.
    McpGatewayWrite = "mcp-gateway:write";
    /// Use tools by way of MCP gateways.
    McpGatewayUse = "mcp-gateway:use";
    /// See knowledge connectors, their syncs and their documents.
    KnowledgeRead = "knowledge:read";
    /// Make, change, sync and delete knowledge connectors.
    KnowledgeWrite = "knowledge:write";
    /// Search what an environment knows.
    KnowledgeSearch = "knowledge:search";
    /// See limits, and how much of them is left.
    LimitRead = "limit:read";
    /// Set limits, and what models cost.
    LimitAdmin = "limit:admin";
    /// See what everybody used.
    UsageRead = "usage:read";
    /// Read, verify and export the audit log.
    AuditRead = "audit-log:read";
}

/// A word that is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a permission")]
pub struct UnknownPermission(pub String);

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        let found = Self::ALL.iter().find(|known| known.as_str() == text);
        found
            .copied()
            .ok_or_else(|| UnknownPermission(text.to_owned()))
    }
}

impl TryFrom<String> for Permission {
    type Error = UnknownPermission;

    fn try_from(text: String) -> Result<Self, UnknownPermission> {
        text.parse()
    }
}

impl From<Permission> for &'static str {
    fn from(permission: Permission) -> Self {
        permission.as_str()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Permission>", into = "Vec<Permission>")]
pub struct Permissions(u64);

const _: () = assert!(Permission::ALL.len() <= 64, "a set is 64 bits");

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether it is in the set, or implied by one that is: who administers environments may deploy to all of them.
    pub fn allow(self, permission: Permission) -> bool {
        let has = |one: Permission| self.0 & (1 << one as u8) != 0;
        has(permission)
            || (permission == Permission::EnvironmentDeployToRestricted
                && has(Permission::EnvironmentAdmin))
    }

    /// Those in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let all = Permission::ALL.iter().copied();
        all.filter(move |&one| self.0 & (1 << one as u8) != 0)
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let bits = permissions.into_iter().map(|one| 1 << one as u8);
        Self(bits.fold(0, |set, bit| set | bit))
    }
}

impl From<Vec<Permission>> for Permissions {
    fn from(list: Vec<Permission>) -> Self {
        list.into_iter().collect()
    }
}

impl From<Permissions> for Vec<Permission> {
    fn from(set: Permissions) -> Self {
        set.iter().collect()
    }
}

/// The roles that every organization has and nobody changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredefinedRole {
    /// Everything.
    Admin,
    /// Every resource, and neither environments nor members, roles, other people's keys or settings.
    Editor,
    /// Reading and using.
    Member,
}

impl PredefinedRole {
    /// All of them, the mightiest first.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Editor, Self::Member];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Member => "member",
        }
    }

    /// What it may do.
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        let member = [
            P::EnvironmentRead,
            P::AgentRead,
            P::SessionRead,
            P::SessionWrite,
            P::VaultRead,
            P::FileRead,
            P::FileWrite,
            P::SkillRead,
            P::WorkRead,
            P::MemberRead,
            P::ModelUpstreamRead,
            P::LlmProxyRead,
            P::LlmProxyUse,
            P::McpCatalogRead,
            P::McpGatewayRead,
            P::McpGatewayUse,
            P::KnowledgeRead,
            P::KnowledgeSearch,
            P::LimitRead,
            P::KeyWrite,
        ];
        let editor = [
            P::AgentWrite,
            P::VaultWrite,
            P::SkillWrite,
            P::WorkWrite,
            P::LlmProxyWrite,
            P::McpCatalogWrite,
            P::McpGatewayWrite,
            P::KnowledgeWrite,
            P::UsageRead,
        ];
        match self {
            Self::Admin => P::ALL.iter().copied().collect(),
            Self::Editor => member.into_iter().chain(editor).collect(),
            Self::Member => member.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_a_word_of_its_own() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
        assert!("environment:*".parse::<Permission>().is_err());
    }

    #[test]
    fn administering_environments_implies_deploying_to_them() {
        let admin: Permissions = [Permission::EnvironmentAdmin].into_iter().collect();
        assert!(admin.allow(Permission::EnvironmentDeployToRestricted));
        assert!(!admin.allow(Permission::AgentWrite));
    }

    #[test]
    fn editors_touch_neither_environments_nor_members_nor_roles() {
        let editor = PredefinedRole::Editor.permissions();
        for withheld in [
            Permission::EnvironmentAdmin,
            Permission::EnvironmentDeployToRestricted,
            Permission::MemberAdmin,
            Permission::RoleAdmin,
            Permission::KeyAdmin,
            Permission::OrganizationAdmin,
            Permission::ModelUpstreamAdmin,
            Permission::AuditRead,
        ] {
            assert!(!editor.allow(withheld), "{withheld}");
        }
        assert!(editor.allow(Permission::AgentWrite));
    }
}

//! Who asks.

use std::fmt;
use std::net::IpAddr;

use bailiwick_model::{
    ApiKeyId, EnvironmentId, McpGatewayId, OrganizationId, Permission, Permissions,
    ServiceAccountId, SessionId, UserId, WorkId,
};
use bailiwick_store::{AuditEvent, VirtualKey};
use jiff::Timestamp;

use crate::error::ControlError;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A member.
    User(UserId),
    /// A service account.
    ServiceAccount(ServiceAccountId),
    /// A worker of one self-hosted environment.
    Worker(EnvironmentId),
    /// Whoever an item of a work queue was handed to, with what they were handed.
    WorkItem(WorkItem),
    /// Whoever has a virtual key: it opens one proxy, and nothing else.
    VirtualKey(VirtualKey),
    /// Whoever has a virtual key of a gateway: it opens that, and nothing else.
    GatewayKey(McpGatewayId),
    /// Bailiwick itself, such as at its first start.
    System,
}

/// What an item of a work queue is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkItem {
    /// In whose queue it is.
    pub environment: EnvironmentId,
    /// Which item.
    pub work: WorkId,
    /// Which session it serves.
    pub session: SessionId,
}

/// Somebody who was authenticated, in one organization.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) organization: OrganizationId,
    pub(crate) actor: Actor,
    pub(crate) permissions: Permissions,
    pub(crate) key: Option<ApiKeyId>,
    /// Until when the key is taken that they came with.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) proof: Proof,
    pub(crate) address: Option<IpAddr>,
}

/// What somebody was authenticated by, to be looked at again when they change something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The key with this hash.
    Key([u8; 32]),
    /// The cookie with this hash.
    BrowserSession([u8; 32]),
    /// The token of an item of work with this hash.
    Work([u8; 32]),
    /// What somebody let a program do, by the hash of its family of tokens: it stays when the tokens are replaced.
    OauthGrant([u8; 32]),
    /// None is needed: it is Bailiwick itself, or somebody who is just being authenticated.
    Itself,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::BrowserSession(_) => "BrowserSession(…)",
            Self::Work(_) => "Work(…)",
            Self::OauthGrant(_) => "OauthGrant(…)",
            Self::Itself => "Itself",
        })
    }
}

impl Actor {
    /// What acts, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ServiceAccount(_) => "service_account",
            Self::Worker(_) => "environment_key",
            Self::WorkItem(_) => "work",
            Self::VirtualKey(_) | Self::GatewayKey(_) => "virtual_key",
            Self::System => "system",
        }
    }

    /// Its id; a worker's is its environment's, and a virtual key's that of what it opens.
    pub fn id(&self) -> &str {
        use bailiwick_model::ResourceId as _;
        match self {
            Self::User(id) => id.as_str(),
            Self::ServiceAccount(id) => id.as_str(),
            Self::Worker(id) => id.as_str(),
            Self::WorkItem(item) => item.work.as_str(),
            Self::VirtualKey(opens) => opens.llm_proxy.as_str(),
            Self::GatewayKey(gateway) => gateway.as_str(),
            Self::System => "bailiwick",
        }
    }
}

/// Nothing and `null` are the same nothing, here and where an entry is exported.
fn text(value: Option<&serde_json::Value>) -> Option<String> {
    value
        .filter(|value| !value.is_null())
        .map(ToString::to_string)
}

impl Caller {
    /// In which organization.
    pub fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The user, if it is one.
    pub(crate) fn user(&self) -> Option<&UserId> {
        match &self.actor {
            Actor::User(user) => Some(user),
            Actor::ServiceAccount(_)
            | Actor::Worker(_)
            | Actor::WorkItem(_)
            | Actor::VirtualKey(_)
            | Actor::GatewayKey(_)
            | Actor::System => None,
        }
    }

    /// What they may do.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// The key that they came with.
    pub fn key(&self) -> Option<&ApiKeyId> {
        self.key.as_ref()
    }

    /// Bailiwick itself, in one organization.
    pub(crate) fn system(organization: OrganizationId) -> Self {
        Self {
            organization,
            actor: Actor::System,
            permissions: Permissions::NONE,
            key: None,
            expires_at: None,
            proof: Proof::Itself,
            address: None,
        }
    }

    /// Goes on only with the permission. Every use case does so first; whoever reads a long request before there is one may ask earlier.
    ///
    /// # Errors
    ///
    /// [`ControlError::Forbidden`].
    pub fn require(&self, permission: Permission) -> Result<(), ControlError> {
        if self.permissions.allow(permission) {
            Ok(())
        } else {
            Err(ControlError::Forbidden(permission))
        }
    }

    /// Goes on only with all of these: nobody hands on what they do not have.
    pub(crate) fn require_all(&self, permissions: Permissions) -> Result<(), ControlError> {
        permissions.iter().try_for_each(|one| self.require(one))
    }

    /// Goes on with the permission, or as a worker of a self-hosted environment.
    pub(crate) fn require_or_worker(&self, permission: Permission) -> Result<(), ControlError> {
        match &self.actor {
            Actor::Worker(_) | Actor::WorkItem(_) => Ok(()),
            Actor::User(_)
            | Actor::ServiceAccount(_)
            | Actor::VirtualKey(_)
            | Actor::GatewayKey(_)
            | Actor::System => self.require(permission),
        }
    }

    /// The audit log's entry of something that they did. `before` and `after` hold no secrets.
    pub(crate) fn event<'a>(
        &'a self,
        action: &'a str,
        (resource_kind, resource_id): (&'a str, &'a str),
        before: Option<&serde_json::Value>,
        after: Option<&serde_json::Value>,
    ) -> AuditEvent<'a> {
        AuditEvent {
            actor_kind: self.actor.kind(),
            actor_id: self.actor.id(),
            address: self.address.map(|address| address.to_string()),
            action,
            resource_kind,
            resource_id,
            before: text(before),
            after: text(after),
        }
    }
}

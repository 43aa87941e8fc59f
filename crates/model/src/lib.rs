//! The vocabulary of Bailiwick as values: names, destinations, decisions, flows and limits.
//!
//! This crate does no I/O, reads no clock and holds no rule: what a destination *may* do is decided in `policy`, and how
//! a name is normalised is decided there too. Everything here is data that other crates agree on.
//!
//! Entry points: [`Destination`], [`Decision`], [`Flow`], [`Packages`], [`Project`], [`SandboxId`].

mod base;
mod decision;
mod destination;
mod flow;
mod id;
pub mod limits;
mod packages;
mod permission;
mod project;
mod redirect_uri;
mod resource_id;
mod secret_text;
mod session;
mod spend;
mod work;

pub use base::{BaseName, BaseProblem, ImageReference, Suite};
pub use decision::{Decision, PolicySource, Reason, Verdict};
pub use destination::{Destination, Host, HostName, InvalidHostName, Protocol};
pub use flow::{Flow, FlowNote};
pub use id::{EnvironmentName, InvalidId, SandboxId};
pub use packages::{
    PackageManager, PackageSpec, PackageSpecProblem, Packages, PackagesProblem,
    UnknownPackageManager,
};
pub use permission::{Permission, Permissions, PredefinedRole, UnknownPermission};
pub use project::{
    GitRef, GitRefProblem, Project, ProjectName, ProjectNameProblem, ProjectProblem, Repository,
    RepositoryProblem, SetupCommand, SetupProblem, Transport,
};
pub use redirect_uri::{RedirectPlace, RedirectUri, RedirectUriProblem};
pub use resource_id::{
    AgentId, ApiKeyId, ContentId, CredentialId, EnvironmentId, FileId, FlowId, GrantId,
    KnowledgeConnectorId, KnowledgeDocumentId, LimitId, LlmProxyId, McpCatalogEntryId,
    McpConnectionId, McpGatewayId, ModelUpstreamId, NotAnId, OauthGrantId, OrganizationId,
    RequestId, ResourceId, RoleId, ServiceAccountId, SessionEventId, SessionId, SessionResourceId,
    SessionThreadId, SkillId, SkillVersionId, TeamId, UsageRecordId, UserId, VaultId, WorkId,
};
pub use secret_text::SecretText;
pub use session::{
    Activity, SessionEventType, SessionInput, SessionRefusal, SessionState, SessionStatus,
    SessionUsage, StatusEvent, StopDetails, StopReason, ThreadState, UnknownSessionEventType,
    UnknownSessionStatus,
};
pub use spend::{
    CalendarWindow, Enforcement, LimitAmount, LimitEntity, LimitWindow, RollingWindow,
    UnknownUsageKind, UnknownWindow, UsageKind,
};
pub use work::{UnknownWorkState, WorkState};

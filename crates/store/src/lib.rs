//! What an organization has, in SQLite or PostgreSQL.
//!
//! Every query about an organization's things goes through a [`Scope`] (to read) or a [`Change`] (to write), and both are made for one
//! organization: there is no way to ask without one. A change ends with [`Change::commit`], which takes the entry of the audit log, so
//! nothing changes without one.
//!
//! The same SQL runs on both databases; what differs is in `dialect`.

mod agent;
mod api_key;
mod audit;
mod backup;
mod browser_session;
mod change;
mod checkpoints;
mod content;
mod credential;
mod credential_secret;
mod dialect;
mod environment;
mod environment_revision;
mod environment_scope;
mod error;
mod export;
mod file;
mod flow;
mod identity;
mod knowledge_chunk;
mod knowledge_connector;
mod knowledge_document;
mod knowledge_search;
mod knowledge_sync;
mod limit_alert;
mod llm_proxy;
mod mcp_catalog;
mod mcp_connection;
mod mcp_gateway;
mod member;
mod model_upstream;
mod notice;
mod oauth_grant;
mod organization;
mod page;
mod patience;
mod private_file;
mod readers;
mod reference;
mod retention;
mod role;
mod row;
mod service_account;
mod session;
mod session_event;
mod session_lock;
mod session_resource;
mod session_run;
mod session_thread;
mod session_usage;
mod skill;
mod spend;
mod spend_limit;
mod store;
mod team;
mod together;
mod transaction;
mod usage_record;
mod vault;
mod work;
mod work_claim;
mod work_token;
mod writers;

pub use agent::{Agent, AgentFilter, AgentValues, Delegates, DelegationAcross, NewAgent};
pub use api_key::{ApiKey, KeyOwner, KnownKey, NewApiKey, VirtualKey};
pub use audit::{
    AuditAnchor, AuditChain, AuditEntry, AuditEvent, AuditHash, AuditHead, BrokenChain,
};
pub use backup::{check_copy, copy_database};
pub use browser_session::KnownSession;
pub use change::Change;
pub use content::LooseContent;
pub use credential::{Credential, StoredCredentialValues};
pub use credential_secret::{OwnedSecret, SealedSecret, SecretOwner};
pub use dialect::{DatabaseUrl, NotADatabaseUrl};
pub use environment::{Environment, EnvironmentValues, NewEnvironment};
pub use environment_revision::{EnvironmentRevision, RevisionRest};
pub use environment_scope::EnvironmentScope;
pub use error::StoreError;
pub use file::{ExpiredFile, File, FileTotals, NewFile};
pub use flow::{FlowFilter, NewFlow, StoredFlow};
pub use identity::KnownIdentity;
pub use knowledge_chunk::NewKnowledgeChunk;
pub use knowledge_connector::{
    KnowledgeConnector, KnowledgeConnectorValues, KnowledgeSync, KnowledgeSyncState,
};
pub use knowledge_document::{
    Kept, KnowledgeDocument, KnowledgeDocuments, KnownDocument, NewKnowledgeDocument,
};
pub use knowledge_search::{KnowledgeHit, KnowledgeQuery, SnippetPart};
pub use knowledge_sync::{EndedSync, KeptSync, KnowledgeRun};
pub use limit_alert::{LimitAlert, NewLimitAlert};
pub use llm_proxy::{LlmProxy, LlmProxyValues};
pub use mcp_catalog::{McpCatalogEntry, McpCatalogEntryValues};
pub use mcp_connection::{McpConnection, NewMcpConnection, SealedConnection};
pub use mcp_gateway::{McpAssignment, McpGateway, McpGatewayValues};
pub use member::{Member, NewMember, SignIn};
pub use model_upstream::{ModelUpstream, ModelUpstreamValues};
pub use notice::{Notice, Notices, SessionNotice};
pub use oauth_grant::{
    FoundGrant, KnownOauthGrant, NewOauthGrant, OauthGrant, OauthSecret, OauthTokenHashes,
};
pub use organization::{NewOrganization, Organization, OrganizationPolicies};
pub use page::{Page, PageRequest};
pub use reference::{NotAReference, Reference, ReferenceCounts, ReferenceFilter, ReferenceKind};
pub use retention::Retention;
pub use role::{NewRole, Role};
pub use service_account::ServiceAccount;
pub use session::{
    Edge, NewSession, Order, OrderedPage, OrderedPageRequest, Session, SessionFilter, SessionPins,
    SessionRunner, SessionValues,
};
pub use session_event::{
    SessionAnswer, SessionEvent, SessionEventFilter, SessionEventPage, SessionRecord,
};
pub use session_lock::{LockedSession, NewSessionEvent, Queued, SessionProgress, Turn};
pub use session_resource::{NewSessionResource, SessionResource, SessionResourceKind};
pub use session_run::SessionRun;
pub use session_thread::SessionThread;
pub use skill::{NewSkill, NewSkillVersion, Skill, SkillVersion, SkillVersionName};
pub use spend::{SpendAccount, SpendLease, Spending};
pub use spend_limit::{LimitsOfOrganization, SpendLimit, SpendLimitValues, SpendSettings};
pub use store::{Scope, Store};
pub use team::{Grant, Grantee, Team};
pub use usage_record::{
    Spender, Spent, UsageFilter, UsageGroup, UsageOfBucket, UsageRecord, UsageSum,
};
pub use vault::{Vault, VaultValues};
pub use work::{NewWork, Work, WorkStats};
pub use work_claim::{Beat, Expected};
pub use work_token::KnownWork;

//! What can be done in an organization, by whom: use cases, authentication and authorization.
//!
//! Every use case takes a [`Caller`], who was authenticated, checks what they may do first, works on their organization alone, and ends
//! with an entry in the audit log. Whether a thing is another organization's or does not exist at all cannot be told apart.

mod agents;
mod audit_json;
mod audit_log;
mod authentication;
mod bootstrap;
mod buckets;
mod caller;
mod clock;
mod conflicts;
mod content;
mod control;
mod credentials;
mod engine;
mod engine_places;
mod environments;
mod error;
mod exporting;
mod failures;
mod files;
mod flows;
mod fresh;
mod host_paths;
mod hosted_servers;
mod identity_providers;
mod identity_sign_ins;
mod impact;
mod keys;
mod knowledge;
mod limits;
mod llm_proxies;
mod mcp_access;
mod mcp_catalog;
mod mcp_connections;
mod mcp_gateways;
mod mcp_matching;
mod members;
mod model_upstreams;
mod names;
mod oauth;
mod oauth_server;
mod organizations;
mod password;
mod password_attempts;
mod references;
mod registry_tools;
mod resealing;
mod retention;
mod revisions;
mod roles;
mod sandboxes;
mod sealing;
mod service_accounts;
mod session_agents;
mod session_engine;
mod session_events;
mod session_feed;
mod session_input;
mod session_resources;
mod session_writing;
mod sessions;
mod shares;
mod sign_in_refusal;
mod sign_ins;
mod signed_head;
mod skills;
mod spend;
mod teams;
mod tightening;
mod to_the_end;
mod tool_calls;
mod usage;
mod validation;
mod vaults;
mod work;

pub use agents::Placement;
pub use audit_json::{AuditLine, NotAnAuditLine, hash_text, parse_hash};
pub use authentication::Credentials;
pub use bailiwick_oidc::{
    Answer as SignInAnswer, ClientSecret, Provider, ProviderError, ProviderSettings,
};
pub use bootstrap::{Bootstrap, Bootstrapped};
pub use caller::{Actor, Caller, WorkItem};
pub use conflicts::{Conflict, ConflictKind, OnConflict};
pub use content::{ContentLimits, Download};
pub use control::Control;
pub use engine::{Called, Engine, Models, NoWorkplace, PortFuture, Workplaces};
pub use environments::{
    EffectivePolicy, EnvironmentChange, EnvironmentView, NewEnvironmentRequest,
};
pub use error::ControlError;
pub use exporting::{Export, NotAnExport, RecordKind};
pub use files::{FileFacts, FileList, FileUpload, Swept};
pub use flows::FlowLine;
pub use fresh::fresh_request_id;
pub use host_paths::{HostPaths, NotAHostPath};
pub use hosted_servers::{
    Holder, HostedCondition, HostedEntries, HostedError, HostedProblem, HostedSecret, HostedServer,
    HostedServers, HostedState, HostedTransport, Playwright,
};
pub use identity_providers::{IdentityProvider, IdentityProviders, NeededClaim, SignInRules};
pub use identity_sign_ins::{BegunSignIn, FinishedSignIn};
pub use impact::{ConcernedEnvironment, CutOff, Impact};
pub use keys::{MadeKey, NewKeyRequest, WORKER_PERMISSIONS};
pub use knowledge::{
    Checkouts, GitCheckouts, KnowledgeAnswer, KnowledgeConfig, KnowledgeConnectorChange,
    KnowledgeConnectorView, KnowledgeCredential, KnowledgeGather, KnowledgeReaders,
    KnowledgeSchedule, KnowledgeSearch, KnowledgeSource, KnowledgeSyncs, KnowledgeTool,
    NewKnowledgeConnectorRequest, SyncCounts, WantedCheckout,
};
pub use limits::{LimitRequest, LimitState, LimitView};
pub use llm_proxies::{
    ListedUpstream, LlmProxyChange, LlmProxyConfig, LlmProxyView, ModelRoutes, NewLlmProxyRequest,
    NewVirtualKeyRequest, NoModelRoute, OpenProxy,
};
pub use mcp_catalog::{
    CommandTransport, HostedCommand, McpEntryChange, McpEntryView, McpServerConfig,
    NewMcpEntryRequest, SecretVariable,
};
pub use mcp_connections::{
    BegunConnection, ConnectionAnswer, ConnectionProblem, GivenClient, NewConnectionRequest,
    ShownConfirmation,
};
pub use mcp_gateways::{
    AssignedServer, McpEntryState, McpGatewayAccess, McpGatewayChange, McpGatewayConfig,
    McpGatewayNaming, McpGatewayView, McpGateways, NewMcpGatewayRequest, OpenMcpGateway,
};
pub use members::NewMemberRequest;
pub use model_upstreams::{
    KeyHeader, ModelRules, NewUpstreamRequest, ServedModel, ServerUpstream, TokensField,
    UpstreamChange, UpstreamConfig, UpstreamList, UpstreamProtocol, UpstreamView,
};
pub use oauth_server::{
    AuthorizationQuestion, AuthorizationRefusal, AuthorizationRequest, ClientProblem,
    GatewayAddress, GatewayToken, IssuedTokens, NewClientRequest, OauthGrantView, OauthTokenError,
    Redemption, Refreshment, RegisteredClient,
};
pub use organizations::{OrganizationView, PoliciesChange};
pub use password::Password;
pub use references::References;
pub use registry_tools::RegistryTools;
pub use resealing::Resealed;
pub use retention::{RetentionChange, RetentionView};
pub use revisions::{FieldChange, RevisionView};
pub use roles::RoleValues;
pub use sandboxes::{SandboxRoom, SandboxRuntime, Sandboxes, SessionImages, WithoutSandboxes};
pub use sealing::{Sealed, SealingKeys, SealingKeysError, UnsealError};
pub use session_engine::{NewAgentEvent, Progress, ThreadStep, TurnReport};
pub use session_events::ThreadView;
pub use session_feed::{Preview, PreviewPart, Seen, Watch, WatchRequest};
pub use sessions::SessionView;
pub use sign_in_refusal::SignInRefusal;
pub use sign_ins::{BrowserSession, SignInRequest};
pub use signed_head::{Algorithm, HeadKey, NotAHeadKey, NotSigned, SignedHead};
pub use skills::{NewSkillRequest, SkillRules};
pub use spend::{
    Candidate, Ledger, LimitAlertLine, LimitConfig, LimitReached, NotRecovered, Outcome, Recovered,
    Reservation, SpendError, SpendRequest, dollars, money_or_tokens, nano_dollars,
};
pub use tightening::{SessionPolicy, TightenedSession};
pub use usage::{SpendSettingsChange, SpendSettingsView, UsageBy};
pub use validation::{ProbeFailure, RefreshOutcome, Validation, ValidationStatus};
pub use work::{HandedWork, HeartbeatRequest, Lease, PollRequest};

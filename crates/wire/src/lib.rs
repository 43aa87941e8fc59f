//! The environment file: the shape of Managed Agents' environments, with the extensions of Bailiwick.
//!
//! Reading goes through three layers, and every problem of every layer is reported in one run, with its place and its
//! fix: `tree` (the plain part of YAML), `draft` (the wire's fields; absent, null and set kept apart) and `validate`
//! (meaning). Whatever else carries the same fields makes a draft and is validated by the same code.
//!
//! This crate opens no file and decides nothing: patterns, CIDRs and presets are parsed by `bailiwick-policy`. It must
//! never take a file that it does not understand in full: a field that is ignored is a rule that is not enforced.
//!
//! Entry points: [`parse_environment`], [`parse_declarations`], [`EnvironmentBody`], [`SkillBundle`].

mod agent;
mod canonical;
mod credential;
mod declaration;
mod difference;
mod draft;
mod environment;
mod environment_file;
mod event;
mod help;
mod json;
mod networking;
mod packages;
mod placed;
mod problem;
mod project;
mod report;
mod request;
mod schema;
mod session;
mod shape;
mod skill;
mod source;
mod tree;
mod validate;
mod vault;
mod work;

pub use agent::{
    Advisor, AgentBody, AgentConfig, AgentParts, AgentReference, AgentSkill, BUILT_IN_TOOLS,
    BuiltInConfig, BuiltInTool, BuiltInToolset, CustomTool, Delegate, Delegation, Effort,
    ExecutionIdentity, InferenceGeo, InlineAgents, McpConfig, McpServer, McpToolset, ModelConfig,
    Multiagent, Own, PermissionPolicy, SkillSource, Speed, StoredAgent, Tool, ToolDefaults,
    ToolReference, UrlSource, UrlSources, UserLocation, WebDomains, WebFetch, WebSearch,
    expected_version,
};
pub use bailiwick_model::SecretText;
pub use credential::{
    CredentialAuth, CredentialBody, CredentialNetworking, CredentialProblem, CredentialSecrets,
    CredentialValues, EnvironmentVariable, InjectionLocation, McpOauth, OauthRefresh, SecretName,
    StaticBearer, TokenEndpointAuth, TokenEndpointAuthKind, UnknownSecretName, UrlProblem,
};
pub use declaration::{
    Declaration, Declarations, Declared, DeclaredAgent, DeclaredEnvironment,
    DeclaredKnowledgeConnector, DeclaredLimit, DeclaredLlmProxy, DefaultKind, LimitSubject,
    parse_declarations, parse_object,
};
pub use difference::{DifferenceLine, DifferenceReport, ModeChange};
pub use environment::{
    CloudConfig, ConfigParts, EnvironmentBody, EnvironmentConfig, StoredEnvironment,
    invalid_namespace, networking_json, policy_from_json,
};
pub use environment_file::{EnvironmentFile, parse_environment};
pub use event::{
    AgentEvent, CallPermission, Citations, ConfirmationResult, ContentBlock, DocumentSource,
    ImageSource, ModelUsage, PermissionEvaluation, RetryStatus, SessionError, SessionErrorKind,
    StatusFacts, TextBlock, ToolOutput, UserEvent, WireUsage, sent_events, stop_reason_json,
};
pub use json::FieldProblem;
pub use problem::{Cause, Form, PackagePlace, Problem};
pub use report::{EnvironmentFileErrors, EnvironmentFileWarnings, Position};
pub use schema::{Schema, example_id, work_update_schema};
pub use session::{
    AgentOverrides, Amount, Budget, Checkout, Currency, FileMount, RepositoryMount, ResourceMount,
    SessionAgent, SessionAgentReference, SessionBody, SessionPatch, SessionText, added_resource,
    overlapping, rotated_token,
};
pub use skill::{SkillBundle, SkillFile, SkillProblem, UnpackedFile, UnpackedSkill};
pub use vault::VaultBody;
pub use work::work_metadata;

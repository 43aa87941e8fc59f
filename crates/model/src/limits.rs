//! Every bound of the product that is not a kernel's: one place, the unit in the name.

mod agents;
mod identity_provider;
mod knowledge;
mod knowledge_store;
mod llm_proxy;
mod mcp;
mod mcp_catalog;
mod mcp_gateway;
mod oauth_server;
mod outbound;
mod spend;
mod worker;

use std::time::Duration;

pub use agents::*;
pub use identity_provider::*;
pub use knowledge::*;
pub use knowledge_store::*;
pub use llm_proxy::*;
pub use mcp::*;
pub use mcp_catalog::*;
pub use mcp_gateway::*;
pub use oauth_server::*;
pub use outbound::*;
pub use spend::*;
pub use worker::*;

/// The largest environment file that is read.
pub const ENVIRONMENT_FILE_BYTES: usize = 1024 * 1024;
/// The most host rules, allowed and denied together, in one environment.
pub const HOST_RULES: usize = 500;
/// The most CIDR rules, allowed and denied together, in one environment.
pub const CIDR_RULES: usize = 500;
/// The most `host_ports` in one environment.
pub const HOST_PORTS: usize = 100;

/// Maps and lists inside one another in an environment file; the format itself needs four.
pub const ENVIRONMENT_FILE_DEPTH: usize = 16;
/// Keys and values in an environment file, those of nested maps and lists included.
pub const ENVIRONMENT_FILE_NODES: usize = 20_000;
/// Errors that are reported for one environment file; the rest are only counted.
pub const ENVIRONMENT_FILE_ERRORS: usize = 100;
/// Maps and lists inside one another in a file that declares agents, whose tools have schemas.
pub const DECLARATION_DEPTH: usize = 64;
/// Files of one `bailiwick apply`.
pub const APPLIED_FILES: usize = 10_000;
/// Bytes of all files of one `bailiwick apply`.
pub const APPLIED_BYTES: usize = 64 * 1024 * 1024;
/// Directories inside one another that `bailiwick apply` looks into.
pub const APPLIED_DIRECTORY_DEPTH: usize = 32;
/// Characters of the name of a Kubernetes namespace, a DNS label (RFC 1123, section 2.1).
pub const NAMESPACE_BYTES: usize = 63;
/// The largest file that a secret is read of.
pub const SECRET_FILE_BYTES: usize = 64 * 1024;
/// Characters of an environment's description.
pub const DESCRIPTION_CHARS: usize = 1024;
/// Pairs in the `metadata` of an environment.
pub const METADATA_PAIRS: usize = 16;
/// Characters of a key in `metadata`.
pub const METADATA_KEY_CHARS: usize = 64;
/// Characters of a value in `metadata`.
pub const METADATA_VALUE_CHARS: usize = 512;
/// Characters of the display name of a vault or a credential.
pub const DISPLAY_NAME_CHARS: usize = 255;
/// Credentials in one vault that are not archived.
pub const CREDENTIALS_OF_VAULT: usize = 20;
/// Characters of a URL of a credential: its MCP server, its token endpoint, its resource (RFC 8707).
pub const CREDENTIAL_URL_CHARS: usize = 2047;
/// Characters of a bearer token or an OAuth access token.
pub const ACCESS_TOKEN_CHARS: usize = 8192;
/// Characters of an OAuth refresh token.
pub const REFRESH_TOKEN_CHARS: usize = 4096;
/// Characters of an OAuth client id.
pub const CLIENT_ID_CHARS: usize = 1024;
/// Characters of an OAuth client secret.
pub const CLIENT_SECRET_CHARS: usize = 512;
/// Characters of an OAuth scope.
pub const OAUTH_SCOPE_CHARS: usize = 8192;
/// Characters of the name of a variable that stands for a secret.
pub const SECRET_NAME_CHARS: usize = 255;
/// Characters of a secret that a variable stands for.
pub const SECRET_VALUE_CHARS: usize = 4096;
/// Bytes of a placeholder that stands for a secret, at least: what nobody guesses.
pub const PLACEHOLDER_LEAST_BYTES: usize = 24;
/// Bytes of a placeholder, at most.
pub const PLACEHOLDER_BYTES: usize = 128;
/// Host rules of one credential.
pub const CREDENTIAL_HOSTS: usize = 16;
/// Names of header fields of one credential.
pub const CREDENTIAL_HEADERS: usize = 16;
/// Keys that seal secrets: the current one and those that were it.
pub const SEALING_KEYS: usize = 64;
/// The largest file of keys that seal secrets.
pub const SEALING_KEY_FILE_BYTES: usize = 16 * 1024;
/// Secrets that are sealed anew in one transaction, and organizations that are read at once for it.
pub const RESEAL_BATCH: u32 = 200;

/// Packages in one environment, of all package managers together.
pub const PACKAGES: usize = 200;
/// Bytes of one package specification, such as `pytest==8.3.4`.
pub const PACKAGE_BYTES: usize = 256;

/// The largest lock file that is read.
pub const LOCK_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Packages of one manager in a lock; a large tree of npm has some thousands.
pub const LOCKED_PACKAGES: usize = 10_000;
/// Bytes of any text in a lock that is no name, version or hash: a URL, a path, a range of npm.
pub const LOCK_TEXT_BYTES: usize = 2048;
/// Names in one list of a locked package of npm: what it depends on, what programs it has.
pub const LOCK_LIST: usize = 1000;
/// Bytes of the name of an architecture in a lock.
pub const LOCK_ARCHITECTURE_BYTES: usize = 32;
/// Bytes of the platform of a locked gem.
pub const LOCK_PLATFORM_BYTES: usize = 64;
/// Differences between a lock and what it is compared with that are told.
pub const LOCK_DIFFERENCES: usize = 20;
/// The largest package database of a base that is read for the list of what it holds.
pub const PACKAGE_DATABASE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that are read of one file of a base or a layer: small tables and certificates.
pub const BASE_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The largest file that is put back if this host replaces it while a sandbox runs: text that people write, which the host runs or trusts.
pub const COVERED_FILE_BYTES: u64 = 1024 * 1024;
/// The largest file of docker's configuration that is read for the login of a registry.
pub const DOCKER_CONFIG_BYTES: usize = 1024 * 1024;
/// Bytes of a repository's URL.
pub const PROJECT_REPOSITORY_BYTES: usize = 2048;
/// Bytes of a project's ref.
pub const PROJECT_REF_BYTES: usize = 256;
/// Bytes of the name of a project's directory.
pub const PROJECT_NAME_BYTES: usize = 64;
/// Commands in the set-up of a project.
pub const PROJECT_SETUP_COMMANDS: usize = 50;
/// Bytes of one command of a set-up.
pub const PROJECT_SETUP_COMMAND_BYTES: usize = 4096;

/// The largest file of `--ca`.
pub const CA_FILE_BYTES: usize = 4 * 1024 * 1024;
/// The largest file of flows that a policy is suggested from.
pub const FLOW_FILE_BYTES: usize = 64 * 1024 * 1024;

/// Destinations that the summary of a run keeps apart; the rest is only counted.
pub const SUMMARY_DESTINATIONS: usize = 2000;
/// Destinations that the summary of a run shows of each outcome, the busiest.
pub const SUMMARY_LINES: usize = 20;

/// Connections that one sandbox may have open at once.
pub const CONNECTIONS: usize = 1024;
/// With so many of one sandbox open, a holder with one thread takes a second one to relay.
pub const CONNECTIONS_OF_ONE_THREAD: usize = 8;
/// Names that one sandbox may resolve in its life; each has a synthetic address of its own.
pub const NAMES: usize = 4096;
/// New names that one sandbox may resolve in a minute.
pub const NEW_NAMES_PER_MINUTE: u32 = 600;
/// DNS questions of one sandbox that are being worked on at once.
pub const DNS_IN_FLIGHT: usize = 64;
/// Bytes of a ClientHello that are kept while its server name is looked for.
pub const CLIENT_HELLO_BYTES: usize = 64 * 1024;
/// How long TLS with the client and with the server may take together, where it ends at the relay.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may take for one request head where TLS ends at the relay, the pause before it included.
pub const INTERCEPTED_HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of HTTP/1.1 that are kept of one side of a connection, where TLS ends at the relay.
pub const INTERCEPTED_BUFFER_BYTES: usize = 128 * 1024;
/// Requests at once on one connection of HTTP/2 where TLS ends at the relay.
pub const INTERCEPTED_STREAMS: u32 = 100;
/// Bytes of a head of HTTP/2, as RFC 9113 counts them.
pub const HTTP2_HEAD_BYTES: u32 = 64 * 1024;
/// Bytes that one stream of HTTP/2 may be ahead of its reader.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes that all streams of one connection may be ahead of their readers.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The largest request body with an announced length that placeholders are replaced in as a whole, so that its new length can be announced.
pub const PROJECTED_WHOLE_BYTES: u64 = 64 * 1024;
/// Bytes of the shortest secret that is taken out of answers: what is shorter is in too many texts by chance.
pub const REDACTED_LEAST_BYTES: usize = 8;
/// Encoded texts with secrets inside that one connection remembers, to take them out of answers.
pub const ENCODED_SECRETS_KEPT: usize = 16;
/// Certificates of its own authority that are kept for one sandbox.
pub const CERTIFICATES_KEPT: usize = 256;
/// Bytes of an HTTP request head that are kept while its host is checked.
pub const HTTP_HEAD_BYTES: usize = 64 * 1024;
/// Connections to the resolver over TCP that one sandbox may have open at once.
pub const DNS_CONNECTIONS: usize = 32;
/// How long a TCP connection to the resolver may be silent (RFC 7766 section 6.2.3).
pub const DNS_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer of the sandbox's resolver may be kept.
pub const DNS_TTL_SECONDS: u32 = 60;
/// Denied names, ports of refused datagrams and the like that are remembered, so that a burst makes one flow.
pub const DENIALS_REMEMBERED: usize = 512;
/// How long a denial that was recorded stands for its repetitions.
pub const DENIAL_REPEAT: Duration = Duration::from_secs(2);
/// Pipes of one process through which relayed bytes move; connections beyond that are copied.
pub const PIPES: usize = 1024;
/// Pipes that are kept for the next connection.
pub const PIPES_KEPT: usize = 64;
/// Bytes that one pipe holds, where the kernel permits: many streams with larger ones push each other out of the cache.
pub const PIPE_BYTES: usize = 256 * 1024;
/// Bytes that each of the first [`LARGE_PIPES`] holds: a single stream is faster with larger ones.
pub const LARGE_PIPE_BYTES: usize = 1024 * 1024;
/// Pipes of one process that are large.
pub const LARGE_PIPES: usize = 4;
/// Flow records that may wait for their reader before new flows wait too.
pub const FLOWS_WAITING: usize = 4096;

/// How long resolving and connecting may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a relayed connection may be silent in both directions.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How long a denied connection waits for a first request, so that HTTP can be told why.
pub const DENIED_GRACE: Duration = Duration::from_millis(250);
/// How long a half-closed connection may stay open without a byte.
pub const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How long the start of a text without a line end is held back before the server sees it.
pub const UNDECIDED_GRACE: Duration = Duration::from_millis(50);

/// Processes and threads in one sandbox, when nothing else is asked for.
pub const DEFAULT_PIDS: u32 = 4096;
/// Open files of one process in a sandbox.
pub const OPEN_FILES: u64 = 65_536;
/// How long a sandbox host may take until it can start sandboxes.
pub const HOST_START: Duration = Duration::from_secs(30);
/// How long a sandbox host may take to end what runs in it when its server is gone.
pub const HOST_SANDBOXES_END: Duration = Duration::from_secs(15);
/// How long a sandbox host may take to end when it is told to.
pub const HOST_END: Duration = Duration::from_secs(20);
/// Questions to one sandbox host that wait for an answer.
pub const HOST_QUESTIONS: usize = 1024;
/// How often a sandbox host reads the machine's own addresses again.
pub const HOST_FACTS_REFRESH: Duration = Duration::from_secs(5);
/// Bytes of a sandbox's files that a checkpoint keeps, where its private files have no limit of their own.
pub const CHECKPOINT_BYTES: u64 = 16 << 30;
/// Bytes of a checkpoint for what it says of each file besides its contents.
pub const CHECKPOINT_RECORD_BYTES: u64 = 256 << 20;
/// Bytes that stay free on the file system of checkpoints: with fewer, none is written.
pub const CHECKPOINT_FREE_BYTES: u64 = 1 << 30;
/// Bytes of a checkpoint that are written before the free space is looked at again.
pub const CHECKPOINT_FREE_LOOK_BYTES: u64 = 16 << 20;
/// Inodes of a sandbox's private file system.
pub const PRIVATE_INODES: u64 = 1_000_000;

/// The largest package database whose digest identifies a base; one that is larger is none.
pub const IDENTIFYING_DATABASE_BYTES: u64 = 1 << 30;
/// Bytes of the path of a base.
pub const BASE_PATH_BYTES: usize = 4096;
/// Bytes of the name of an image, with its host, tag and digest.
pub const IMAGE_REFERENCE_BYTES: usize = 512;
/// Bytes of the name of a Debian release.
pub const SUITE_BYTES: usize = 64;
/// Layers of an image of a registry.
pub const OCI_LAYERS: usize = 256;
/// Entries of an archive that is unpacked.
pub const ARCHIVE_ENTRIES: u64 = 5_000_000;

/// What a layer of packages says about itself, some hundred bytes for each package in it.
pub const LAYER_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// How long to wait for a layer that is there and locked, by a build that has just ended or a removal that has just begun.
pub const LAYER_LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long to wait while another process makes the snapshot of this machine: it copies thousands of small files, which takes a busy machine long. One that dies lets go of its lock at once.
pub const SNAPSHOT_LOCK_WAIT: Duration = Duration::from_secs(5 * 60);

/// How long the build of one layer may take.
pub const BUILD_TIME: Duration = Duration::from_secs(30 * 60);
/// Bytes on disk of the layer that one build writes.
pub const BUILD_DISK_BYTES: u64 = 20 << 30;
/// Files and directories of the layer that one build writes.
pub const BUILD_FILES: u64 = 2_000_000;
/// How often a build's layer is measured while it is written.
pub const BUILD_DISK_LOOK: Duration = Duration::from_secs(1);
/// A build ends when the file system of its layer has fewer bytes free.
pub const BUILD_FREE_BYTES: u64 = 512 << 20;
/// A build ends when the file system of its layer can hold fewer files more.
pub const BUILD_FREE_FILES: u64 = 4096;
/// Memory of one build in bytes, its private files included, where a control group can hold it.
pub const BUILD_MEMORY_BYTES: u64 = 8 << 30;
/// Bytes of a build's output that its log keeps.
pub const BUILD_LOG_BYTES: u64 = 64 << 20;
/// Bytes of a line of a build's output that are shown; the log has more of it.
pub const BUILD_LINE_BYTES: usize = 4096;
/// Bytes of the end of a build's output that are kept to say why it failed.
pub const BUILD_TAIL_BYTES: usize = 16 * 1024;
/// Bytes of what a build says that it installed.
pub const BUILD_REPORT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of what one fetch of a repository may download.
pub const REPOSITORY_FETCH_BYTES: u64 = 16 << 30;
/// Bytes of the files of a project at its commit.
pub const PROJECT_BYTES: u64 = 16 << 30;
/// Files of a project at its commit.
pub const PROJECT_FILES: u64 = 1_000_000;
/// How long to wait for another process that fetches the same repository.
pub const REPOSITORY_LOCK_WAIT: Duration = Duration::from_secs(30 * 60);

/// After this long a directory of the state without a lock is not one that is being made.
pub const STATE_REMAINS: Duration = Duration::from_secs(60);
/// Denied destinations that the log of a build names.
pub const BUILD_DENIALS: usize = 100;

/// Characters of an agent's name.
pub const AGENT_NAME_CHARS: usize = 256;
/// Characters of an agent's description.
pub const AGENT_DESCRIPTION_CHARS: usize = 2048;
/// Characters of an agent's system prompt.
pub const AGENT_SYSTEM_CHARS: usize = 100_000;
/// Tools of one agent: its custom tools, and those that its toolsets configure one by one (a toolset counts once at least).
pub const AGENT_TOOLS: usize = 256;
/// MCP servers of one agent.
pub const AGENT_MCP_SERVERS: usize = 20;
/// Skills of one agent.
pub const AGENT_SKILLS: usize = 500;
/// Agents that one agent may delegate to, in one list.
pub const AGENT_ROSTER: usize = 20;
/// Characters of a model's id.
pub const MODEL_ID_CHARS: usize = 256;
/// Characters of the name of a role of AWS.
pub const ROLE_ARN_CHARS: usize = 2048;
/// Characters of the name of an agent's MCP server.
pub const MCP_SERVER_NAME_CHARS: usize = 255;
/// Characters of the URL of an agent's MCP server.
pub const MCP_SERVER_URL_CHARS: usize = 2048;
/// Characters of a tool's name.
pub const TOOL_NAME_CHARS: usize = 128;
/// Characters of a custom tool's description.
pub const TOOL_DESCRIPTION_CHARS: usize = 100_000;
/// Characters of the name of a property in what a custom tool takes.
pub const TOOL_PROPERTY_CHARS: usize = 64;
/// Characters of the id of a skill, and of its version.
pub const SKILL_ID_CHARS: usize = 64;
/// Domains that one of the tools of the web is held to, or kept from.
pub const WEB_DOMAINS: usize = 64;
/// Bytes of one of these domains, with a path where one may stand.
pub const WEB_DOMAIN_BYTES: usize = 2048;
/// Tools whose results are named as sources of URLs.
pub const WEB_SOURCE_TOOLS: usize = 128;
/// Characters of each part of the place that a search is made from.
pub const USER_LOCATION_CHARS: usize = 255;
/// Problems of one request's body that are told.
pub const REQUEST_PROBLEMS: usize = 100;
/// Bytes of one file (the wire API's 500 MB).
pub const FILE_BYTES: u64 = 500 << 20;
/// Bytes of all files and skills of one organization.
pub const ORGANIZATION_CONTENT_BYTES: u64 = 100 << 30;
/// Bytes of one chunk of stored content: what an upload or a download keeps in memory.
pub const CONTENT_CHUNK_BYTES: usize = 1 << 20;
/// Characters of a file's name (the wire API).
pub const FILE_NAME_CHARS: usize = 500;
/// Bytes of a file's media type (the wire API).
pub const MEDIA_TYPE_BYTES: usize = 255;
/// The shortest life that an upload may ask for (the wire API).
pub const FILE_LIFE_LEAST_SECONDS: i64 = 3600;
/// The longest life that an upload may ask for (the wire API).
pub const FILE_LIFE_MOST_SECONDS: i64 = 7_776_000;
/// Files that one list may name (the wire API).
pub const FILE_IDS: usize = 100;
/// How long it is remembered that a file was there and expired.
pub const EXPIRED_FILE_REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// After this long without a chunk an upload is taken for cut off.
pub const UPLOAD_ABANDONED: Duration = Duration::from_secs(60 * 60);
/// How long an upload may be silent.
pub const UPLOAD_SILENCE: Duration = Duration::from_secs(30);
/// How long an upload may take.
pub const UPLOAD_TIME: Duration = Duration::from_secs(2 * 60 * 60);
/// Bytes of a form that are kept while the next part of it is looked for.
pub const FORM_HELD_BYTES: usize = 2 << 20;
/// Bytes of a form that are no part's content: its boundaries, headers and small fields.
pub const FORM_FRAME_BYTES: u64 = 1 << 20;
/// Bytes of a small field of a form.
pub const FORM_FIELD_BYTES: usize = 4096;

/// Bytes of the files of one skill, packed or not.
pub const SKILL_BYTES: u64 = 30 << 20;
/// Files of one skill.
pub const SKILL_FILES: usize = 1000;
/// Bytes of the path of a file of a skill.
pub const SKILL_PATH_BYTES: usize = 512;
/// Directories inside one another in a skill.
pub const SKILL_PATH_DEPTH: usize = 16;
/// Characters of a skill's name (the format's rule, agentskills.io).
pub const SKILL_NAME_CHARS: usize = 64;
/// Characters of a skill's description (the format's rule, agentskills.io).
pub const SKILL_DESCRIPTION_CHARS: usize = 1024;
/// Characters of what people call a skill (the wire API).
pub const SKILL_DISPLAY_NAME_CHARS: usize = 255;
/// Bytes of what stands before the text of a `SKILL.md`.
pub const SKILL_FRONT_MATTER_BYTES: usize = 64 * 1024;

/// Characters of a session's title (the wire API).
pub const SESSION_TITLE_CHARS: usize = 500;
/// Vaults of one session (the wire API).
pub const SESSION_VAULTS: usize = 50;
/// Resources of one session.
pub const SESSION_RESOURCES: usize = 512;
/// Files of one session (the wire API).
pub const SESSION_FILES: usize = 500;
/// Bytes of the files of one session, each content once however many paths lead to it: they are on the server's disk while its sandbox is.
pub const SESSION_FILE_BYTES: u64 = 4 << 30;
/// Characters of the path where a resource of a session is (the wire API).
pub const MOUNT_PATH_CHARS: usize = 4096;
/// Bytes of the path of a file: it is below a directory of the server's, and a path has 4096 in all (`PATH_MAX`).
pub const FILE_MOUNT_PATH_BYTES: usize = 1024;
/// Characters of the URL of a session's repository (the wire API).
pub const REPOSITORY_URL_CHARS: usize = 2048;
/// Characters of the token that a session's repository is cloned with (the wire API).
pub const REPOSITORY_TOKEN_CHARS: usize = 4096;
/// Characters of the branch that a session's repository is at (the wire API).
pub const BRANCH_CHARS: usize = 255;
/// Characters of the id of something that a session refers to (the wire API).
pub const REFERENCE_CHARS: usize = 128;
/// Digits of an amount of cents.
pub const AMOUNT_DIGITS: usize = 12;

/// Bytes of a request that makes a session or sends events to one (the wire API).
pub const EVENTS_BODY_BYTES: usize = 32 << 20;
/// Events of one request.
pub const SENT_EVENTS: usize = 100;
/// Events that a session begins with (the wire API).
pub const INITIAL_EVENTS: usize = 50;
/// Blocks of one message or result, and of a message of the system (the wire API).
pub const CONTENT_BLOCKS: usize = 1000;
/// Documents in files in one request (the wire API).
pub const FILE_DOCUMENTS: usize = 100;
/// Characters of the title of a document in a message.
pub const DOCUMENT_TITLE_CHARS: usize = 500;
/// Characters of the URL of a picture or a document in a message.
pub const CONTENT_URL_CHARS: usize = 2048;
/// Characters of why a call of a tool is denied (the wire API).
pub const DENY_MESSAGE_CHARS: usize = 10_000;
/// Input of one session that nobody has taken up.
pub const QUEUED_EVENTS: usize = 1000;
/// Threads of one session that have not ended (the wire API).
pub const SESSION_THREADS: usize = 25;
/// Events of a session that are kept in memory for its streams; what is older is read from the database.
pub const RECENT_EVENTS: usize = 256;
/// Bytes of these events, after the newest.
pub const RECENT_EVENT_BYTES: usize = 1 << 20;
/// Bytes of the events of one page, before the last of them.
pub const EVENT_PAGE_BYTES: i64 = 8 << 20;
/// Streams of events that one server has open at once, so that there are connections left for everything else.
pub const EVENT_STREAMS: usize = 3000;
/// The same, of one organization.
pub const EVENT_STREAMS_OF_ORGANIZATION: usize = 2500;
/// Events that a stream reads from the database at once.
pub const STREAM_READ_EVENTS: u32 = 64;
/// Parts of messages on their way to streams; a stream that is further behind gets whole messages alone.
pub const PREVIEWS_WAITING: usize = 256;
/// How often a stream that has nothing to say says so (the wire API).
pub const STREAM_PING: Duration = Duration::from_secs(15);
/// How often streams look for what another server stored, should its word have been lost.
pub const STREAM_LOOK: Duration = Duration::from_secs(2);
/// Kinds of events that one list or stream may name (the wire API).
pub const EVENT_KINDS_ASKED: usize = 100;
/// Keys and values in the JSON of a request, which take more memory than their text.
pub const JSON_VALUES: usize = 1_000_000;
/// Events that one change takes away since their time is over.
pub const EXPIRED_EVENTS: u32 = 1000;
/// How long whoever runs a session has it without saying so again.
pub const RUN_LEASE: Duration = Duration::from_secs(30);

/// The longest that a poll for work may wait (the wire API).
pub const WORK_BLOCK_MS: u64 = 999;
/// After this long without an acknowledgement work that was handed out is handed out again (the wire API).
pub const WORK_RECLAIM_MS: u64 = 5000;
/// The longest that may be asked for instead.
pub const WORK_RECLAIM_MOST_MS: u64 = 24 * 60 * 60 * 1000;
/// How long work is leased to a worker that asks for nothing else.
pub const WORK_LEASE_SECONDS: i64 = 90;
/// The longest lease.
pub const WORK_LEASE_MOST_SECONDS: i64 = 3600;
/// A worker that polled this long ago still counts as polling (the wire API).
pub const WORK_POLLING: Duration = Duration::from_secs(30);
/// How exactly it is known when a worker last polled.
pub const WORK_POLLING_LOOK: Duration = Duration::from_secs(5);
/// How many items are tried in one poll, where others take them at the same time.
pub const WORK_CANDIDATES: i64 = 32;
/// How long the token of work that has ended still tells its worker so.
pub const WORK_TOKEN_GRACE: Duration = Duration::from_secs(5 * 60);
/// Connections to the control plane that are open at once. One more ends the one that has been idle for longest.
pub const HTTP_CONNECTIONS: usize = 4096;
/// How long a client may take over the head of a request, and how long it may be silent between two requests.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may wait for its client to take any of it.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of the head of a request to the control plane.
pub const HTTP_REQUEST_HEAD_BYTES: usize = 64 * 1024;
/// Requests that are worked on at once for one connection of HTTP/2.
pub const HTTP_STREAMS: u32 = 100;
/// How often a client of HTTP/2 is asked whether it is still there, and how long it has for the answer.
pub const HTTP_PING: Duration = Duration::from_secs(20);
/// How long requests in flight may take once a server was asked to end.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// Bytes of one entry of an exported audit log: what was changed, before and after, each no larger than a body.
pub const AUDIT_LINE_BYTES: u64 = 16 * 1024 * 1024;
/// Failed authentications of one address in a row before more of them are answered with 429.
pub const FAILED_AUTHENTICATIONS: u32 = 50;
/// Failed authentications of one address that are forgotten in a second.
pub const FAILED_AUTHENTICATIONS_PER_SECOND: u32 = 10;
/// Addresses of failed authentications that are told apart; more of them share one count.
pub const FAILED_AUTHENTICATION_ADDRESSES: usize = 10_000;

/// Wrong passwords from one address, of IPv6 from one /64, for whatever accounts, that are looked at in a row.
pub const ADDRESS_PASSWORDS: u32 = 20;
/// After so long one of them is forgotten.
pub const ADDRESS_PASSWORD_FORGOTTEN: Duration = Duration::from_secs(6);
/// Wrong passwords for one account from one address that are looked at in a row.
pub const ACCOUNT_ADDRESS_PASSWORDS: u32 = 5;
/// After so long one of them is forgotten.
pub const ACCOUNT_ADDRESS_PASSWORD_FORGOTTEN: Duration = Duration::from_secs(30);
/// Wrong passwords for one account from wherever that are looked at in a row.
pub const ACCOUNT_PASSWORDS: u32 = 60;
/// After so long one of them is forgotten: five addresses can never use up what is forgotten meanwhile.
pub const ACCOUNT_PASSWORD_FORGOTTEN: Duration = Duration::from_secs(5);
/// Accounts, addresses, and pairs of both, of which wrong passwords are told apart.
pub const PASSWORD_SOURCES: usize = 10_000;
/// Passwords that are hashed at once at most: each takes 64 MiB and a processor, and half of the processors are for everything else.
pub const PASSWORDS_HASHED: usize = 4;
/// Passwords that wait for their turn to be hashed; more are told to come again.
pub const PASSWORDS_WAITING: usize = 16;
/// Bytes of the path that a browser returns to after it signed in.
pub const RETURN_PATH_BYTES: usize = 2048;
/// The largest configuration file of a server.
pub const SERVER_CONFIG_BYTES: usize = 256 * 1024;
/// Networks of proxies that a server trusts.
pub const TRUSTED_PROXIES: usize = 1000;
/// How long a command may take that prints the keys that secrets are sealed with.
pub const SECRET_KEY_COMMAND_TIME: Duration = Duration::from_secs(30);
/// Bytes of the complaints of such a command that are shown.
pub const SECRET_KEY_COMMAND_COMPLAINT_BYTES: usize = 4096;

/// Characters of the name of a team, a role, a service account, a member or a key.
pub const NAME_CHARS: usize = 100;
/// Characters of an environment's name under `/api`: as many as a console and `kubectl`-like tools show.
pub const SHORT_ENVIRONMENT_NAME_CHARS: usize = 50;
/// Bytes of an address of mail (RFC 5321, section 4.5.3.1.3).
pub const EMAIL_BYTES: usize = 254;
/// The fewest characters of a password (NIST SP 800-63B, section 3.1.1.2, for a password alone).
pub const PASSWORD_LEAST_CHARS: usize = 15;
/// Bytes of a password: more than anybody types, and little enough to hash.
pub const PASSWORD_BYTES: usize = 1024;
/// Records that one delivery of an export has.
pub const EXPORT_BATCH: u32 = 200;
/// Bytes of the records of one delivery, after the first of them.
pub const EXPORT_BATCH_BYTES: usize = 4 << 20;
/// How often an export looks for new records.
pub const EXPORT_LOOK: Duration = Duration::from_secs(1);
/// How long one delivery may take.
pub const EXPORT_TIME: Duration = Duration::from_secs(20);
/// How long a delivery under way may take once a server was asked to end.
pub const EXPORT_END: Duration = Duration::from_secs(5);
/// For how long one of several servers exports alone without saying so again: longer than a delivery.
pub const EXPORT_LEASE: Duration = Duration::from_secs(30);
/// The longest wait after a delivery that failed.
pub const EXPORT_BACK_OFF: Duration = Duration::from_secs(60);
/// Bytes of a message of syslog in one datagram (RFC 5426, section 3.2).
pub const SYSLOG_DATAGRAM_BYTES: usize = 65_000;
/// Bytes of what identifies a destination of an export.
pub const EXPORT_DESTINATION_BYTES: usize = 2048;
/// Days that an audit log is kept at least: whoever administers an organization cannot make it forget sooner.
pub const AUDIT_RETENTION_DAYS_LEAST: i64 = 30;
/// Days that records are kept at most, unless it is for ever.
pub const RETENTION_DAYS_MOST: i64 = 36_500;
/// Entries of an audit log that one change takes away.
pub const EXPIRED_AUDIT_ENTRIES: u32 = 1000;
/// Unknown fields of one object of a request that a refusal names.
pub const UNKNOWN_FIELDS_TOLD: usize = 20;
/// References to an environment, and conflicts of a move, that one refusal names.
pub const REFERENCES_TOLD: u32 = 100;
/// Agents that one move of another one takes out of their work with it, in hundreds.
pub const DETACH_HUNDREDS: usize = 10;

/// Spans that wait to be sent to a receiver of telemetry; one more is dropped.
pub const TELEMETRY_SPANS: usize = 4096;
/// Spans that one message has.
pub const TELEMETRY_BATCH_SPANS: usize = 512;
/// How long spans wait for others to be sent with.
pub const TELEMETRY_DELAY: Duration = Duration::from_secs(2);
/// How long a receiver of telemetry has for one message.
pub const TELEMETRY_TIME: Duration = Duration::from_secs(10);
/// How often one message is sent to a receiver that cannot take it now.
pub const TELEMETRY_ATTEMPTS: u32 = 3;
/// Between the first and the second attempt; doubled each time.
pub const TELEMETRY_BACK_OFF: Duration = Duration::from_secs(1);
/// How often numbers are sent, if nobody says otherwise (OpenTelemetry's specification).
pub const TELEMETRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long what is left may take once a server was asked to end.
pub const TELEMETRY_END: Duration = Duration::from_secs(5);
/// Headers that go along with telemetry.
pub const TELEMETRY_HEADERS: usize = 16;

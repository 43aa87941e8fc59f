//! Bounds of MCP gateways: what their clients send, and what their servers say to them.

use std::time::Duration;

/// Bytes of one message of a client, or of one batch.
pub const MCP_GATEWAY_MESSAGE_BYTES: usize = 4 << 20;
/// How long a client may take to send it.
pub const MCP_GATEWAY_MESSAGE_TIME: Duration = Duration::from_secs(30);
/// Objects and lists inside one another, in what a client sends and in what a server answers.
pub const MCP_GATEWAY_DEPTH: usize = 64;
/// Bytes of the id of a request, and of the token of its progress.
pub const MCP_GATEWAY_ID_BYTES: usize = 256;
/// Bytes of a name of a tool or a prompt that a client asks for.
pub const MCP_GATEWAY_NAME_CHARS: usize = 4096;
/// Bytes of the URI of a resource.
pub const MCP_GATEWAY_URI_CHARS: usize = 8192;
/// Bytes of a cursor of a client: the longest is a URI that says whose it is, in Base64.
pub const MCP_GATEWAY_CURSOR_BYTES: usize = 12 << 10;
/// Messages of a batch.
pub const MCP_GATEWAY_BATCH: usize = 32;
/// Sessions of one gateway.
pub const MCP_GATEWAY_SESSIONS: usize = 10_000;
/// Sessions of one caller; for another one the one that was idle longest is ended.
pub const MCP_GATEWAY_SESSIONS_OF_CALLER: usize = 256;
/// How long a session that nobody uses is kept.
pub const MCP_GATEWAY_IDLE_TIME: Duration = Duration::from_secs(30 * 60);
/// Requests of one session that run at once.
pub const MCP_GATEWAY_REQUESTS: usize = 128;
/// Requests of one caller that run at once, in all sessions and without any; those that wait for news among them.
pub const MCP_GATEWAY_REQUESTS_OF_CALLER: usize = 512;
/// What is kept of a server's progress and log until the client has read it; the server waits meanwhile.
pub const MCP_GATEWAY_NOTICES: usize = 16;
/// Bytes of one of those; what is longer is left out.
pub const MCP_GATEWAY_NOTICE_BYTES: usize = 64 << 10;
/// Resources that one session or one stream of news is subscribed to.
pub const MCP_GATEWAY_SUBSCRIPTIONS: usize = 256;
/// How often something is sent on a stream of news on which nothing happens.
pub const MCP_GATEWAY_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Servers of one gateway.
pub const MCP_GATEWAY_SERVERS: usize = 64;
/// Characters of the name of a server in a gateway.
pub const MCP_GATEWAY_SERVER_CHARS: usize = 32;
/// Entries on one page of a list.
pub const MCP_GATEWAY_PAGE: usize = 500;
/// Entries of one server's list; those that come later in it are left out.
pub const MCP_GATEWAY_LISTED: usize = 1000;
/// Bytes of one server's list.
pub const MCP_GATEWAY_LISTED_BYTES: usize = 4 << 20;
/// How long what servers listed is used for the pages after the first, and to find what a name or a URI stands for.
pub const MCP_GATEWAY_LIST_TIME: Duration = Duration::from_secs(60);
/// Idle connections to one server.
pub const MCP_GATEWAY_IDLE_CONNECTIONS: usize = 64;
/// How long one may be idle.
pub const MCP_GATEWAY_IDLE_CONNECTION_TIME: Duration = Duration::from_secs(60);
/// How long connecting may take, before TLS; and TLS.
pub const MCP_GATEWAY_CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long to wait before a server's stream of news that ended is asked for again, for the first time; it doubles.
pub const MCP_GATEWAY_NEWS_WAIT: Duration = Duration::from_secs(1);
/// How long at most.
pub const MCP_GATEWAY_NEWS_WAIT_MOST: Duration = Duration::from_secs(300);

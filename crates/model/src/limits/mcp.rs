//! Bounds of MCP servers, which are whatever an agent's author named.

mod hosted_servers;

use std::time::Duration;

pub use hosted_servers::*;

/// How long beginning with an MCP server and listing its tools may take, all pages together.
pub const MCP_LIST_TIME: Duration = Duration::from_secs(30);
/// How long a call of a tool may take, beginning anew with its server included.
pub const MCP_CALL_TIME: Duration = Duration::from_secs(300);
/// How long telling a server that nobody waits any more may take, or answering what it asks.
pub const MCP_ASIDE_TIME: Duration = Duration::from_secs(2);
/// Bytes of one answer; of a stream, of all that comes until there is an answer.
pub const MCP_ANSWER_BYTES: usize = 16 << 20;
/// Values that are read of one message or document of a server: each takes many times its bytes in memory.
pub const MCP_ANSWER_VALUES: usize = 100_000;
/// Bytes that are read of an answer that is an error of HTTP.
pub const MCP_ERROR_BYTES: usize = 64 << 10;
/// Characters that are told of what a server says about an error.
pub const MCP_ERROR_CHARS: usize = 1000;
/// Bytes of a server's id of a session, and of the id of an event.
pub const MCP_ID_BYTES: usize = 1024;
/// Bytes of a cursor.
pub const MCP_CURSOR_BYTES: usize = 4096;
/// How often the stream of one answer that broke off is asked for again.
pub const MCP_RESUMPTIONS: u32 = 10;
/// How long to wait before that, if the server says nothing of it.
pub const MCP_RESUMPTION_WAIT: Duration = Duration::from_secs(1);
/// How long to wait at most, whatever the server says.
pub const MCP_RESUMPTION_WAIT_MOST: Duration = Duration::from_secs(30);
/// What a server asks within one answer that is answered; what it asks more is not.
pub const MCP_ASIDES: u32 = 16;
/// How long a server of the older transport has to name its endpoint.
pub const MCP_ENDPOINT_TIME: Duration = Duration::from_secs(10);
/// How long a stream of a server's news is read before it is looked at again whether it may be.
pub const MCP_LISTEN_LOOK: Duration = Duration::from_secs(5);
/// How often such a stream fails, one time after the other, before nobody asks for it any more.
pub const MCP_LISTEN_FAILURES: u32 = 10;
/// Servers of sessions whose news one process reads at once, of all organizations together; those of others are not heard.
pub const MCP_LISTENERS: usize = 1024;
/// Of one organization.
pub const MCP_LISTENERS_OF_ORGANIZATION: usize = 256;
/// Pages of a list of tools.
pub const MCP_TOOL_PAGES: usize = 20;
/// Tools of one server; those that come later in its list are left out.
pub const MCP_TOOLS: usize = 256;
/// Bytes of the schema of a tool's input.
pub const MCP_SCHEMA_BYTES: usize = 64 << 10;
/// Objects and lists inside one another in such a schema.
pub const MCP_SCHEMA_DEPTH: usize = 32;
/// Bytes of names, descriptions and schemas of all tools of one server.
pub const MCP_TOOLS_BYTES: usize = 512 << 10;
/// Characters of a tool's description; what is longer is cut.
pub const MCP_DESCRIPTION_CHARS: usize = 8192;
/// Characters of the name under which a model is offered a tool.
pub const MCP_OFFERED_NAME_CHARS: usize = 64;
/// Content blocks of a result; what comes later is left out.
pub const MCP_RESULT_BLOCKS: usize = 100;
/// Tools that one message names of those that are left out.
pub const MCP_LEFT_OUT_TOLD: usize = 10;
/// How long before an access token is over another one is asked for.
pub const MCP_REFRESH_AHEAD: Duration = Duration::from_secs(60);
/// How long a session with an MCP server that nobody uses is kept.
pub const MCP_IDLE_TIME: Duration = Duration::from_secs(30 * 60);

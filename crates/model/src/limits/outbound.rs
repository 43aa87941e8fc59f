//! Bounds of servers that somebody named, such as MCP servers and token endpoints, whatever is asked of them.

use std::time::Duration;

/// How long a server that somebody named has for one answer: an MCP server, a token endpoint.
pub const OUTBOUND_TIME: Duration = Duration::from_secs(15);
/// How long a probe of an MCP server may take, all its requests together.
pub const PROBE_TIME: Duration = Duration::from_secs(30);
/// How often a stream of events is looked through for an answer while it arrives.
pub const OUTBOUND_LOOKS: u32 = 256;
/// Redirections of such a server that are followed, each within its origin.
pub const OUTBOUND_REDIRECTS: u32 = 3;
/// Bytes of the head of such an answer.
pub const OUTBOUND_HEAD_BYTES: usize = 64 * 1024;
/// Headers of such an answer.
pub const OUTBOUND_HEADERS: usize = 128;
/// Bytes of the body of such an answer.
pub const OUTBOUND_BODY_BYTES: usize = 1 << 20;
/// Bytes of such a body that are shown to whoever asked.
pub const OUTBOUND_SHOWN_BYTES: usize = 4096;
/// Bytes of the media type of such a body that are shown.
pub const OUTBOUND_CONTENT_TYPE_BYTES: usize = 255;
/// How long an access token is believed to live at most.
pub const TOKEN_LIFE_MOST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// Who asks servers that credentials, clients and connections name, at once on one server: each holds connections to servers that somebody named.
pub const VALIDATIONS: usize = 32;
/// The same, of one organization.
pub const VALIDATIONS_OF_ORGANIZATION: usize = 8;

//! Bounds of the MCP catalog and of the gateways to it.

use std::time::Duration;

/// MCP servers in the catalog of one organization.
pub const MCP_CATALOG_ENTRIES: usize = 1000;
/// In one environment: a gateway with all of them has room for servers of Bailiwick's own besides.
pub const MCP_ENTRIES_OF_ENVIRONMENT: usize = 60;
/// Gateways of one organization.
pub const MCP_GATEWAYS: usize = 1000;
/// Characters of the URL of a server.
pub const MCP_ENTRY_URL_CHARS: usize = 2047;
/// Bytes of the command of a self-hosted server, and of each of its arguments.
pub const MCP_ENTRY_ARGUMENT_BYTES: usize = 4096;
/// Arguments of a self-hosted server.
pub const MCP_ENTRY_ARGUMENTS: usize = 64;
/// Variables of a self-hosted server, those with secrets among them.
pub const MCP_ENTRY_VARIABLES: usize = 64;
/// Bytes of the name of a variable.
pub const MCP_ENTRY_VARIABLE_NAME_BYTES: usize = 255;
/// Characters of the path at which a self-hosted server answers.
pub const MCP_ENTRY_PATH_CHARS: usize = 255;
/// Tools that an assignment names.
pub const MCP_ASSIGNED_TOOLS: usize = 256;
/// Characters of the name of one of those.
pub const MCP_ASSIGNED_TOOL_CHARS: usize = 256;
/// Characters of the title of a gateway.
pub const MCP_GATEWAY_TITLE_CHARS: usize = 200;
/// Characters of what a gateway tells models about itself.
pub const MCP_GATEWAY_INSTRUCTIONS_CHARS: usize = 8192;
/// The largest file of an editor's servers that is imported.
pub const MCP_IMPORT_BYTES: usize = 1 << 20;
/// Servers of one such file.
pub const MCP_IMPORT_SERVERS: usize = 200;
/// How long what holds for a gateway is not asked again; where it is changed on the same server, it is at once.
pub const MCP_GATEWAY_KNOWN_FOR: Duration = Duration::from_secs(1);
/// How often a call under way is looked at: whether it would be let through now.
pub const MCP_GATEWAY_LOOK: Duration = Duration::from_secs(1);
/// How often a stream of what nobody asked for is looked at: whether whoever reads it still may.
pub const MCP_STREAM_LOOK: Duration = Duration::from_secs(5);
/// Gateways that one server remembers at once; the others are asked for each time.
pub const MCP_GATEWAYS_KNOWN: usize = 10_000;
/// Gateways that one server has callers of; more are served once nobody has used others for long.
pub const MCP_GATEWAYS_SERVED: usize = 1000;
/// Callers of one gateway that are remembered without a reason.
pub const MCP_GATEWAY_CALLERS: usize = 1000;
/// Environments whose connections to MCP servers one server keeps.
pub const MCP_ENVIRONMENTS_KEPT: usize = 1000;
/// Things that a tool of the control-plane server lists at most.
pub const CONTROL_PLANE_LISTED: u32 = 100;
/// Tools that a search for tools finds at most.
pub const CONTROL_PLANE_TOOLS_FOUND: usize = 30;
/// Words of such a search; what follows is not looked for.
pub const CONTROL_PLANE_TOOL_WORDS: usize = 16;
/// Bytes of the arguments of a tool of the control-plane server.
pub const CONTROL_PLANE_ARGUMENT_BYTES: usize = 64 << 10;

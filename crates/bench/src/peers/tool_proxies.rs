//! What else stands between MCP clients and servers.

use std::fs;
use std::net::SocketAddr;

use anyhow::Result;
use bailiwick_testkit::Sdk;

use super::Stage;
use super::proxies::{Proxy, free_address, listening};
use crate::os;

/// `mcp-proxy`, the crate: a gateway in Rust.
pub(crate) fn mcp_proxy(stage: &Stage, tools: SocketAddr) -> Result<Proxy> {
    let address = free_address()?;
    let file = stage.path("mcp-proxy.toml");
    let config = format!(
        "[proxy]\nname = \"bench\"\nseparator = \"__\"\n\n[proxy.listen]\nhost = \"127.0.0.1\"\nport = {}\n\n\
         [[backends]]\nname = \"tools\"\ntransport = \"http\"\nurl = \"http://{tools}/mcp\"\n\n[observability]\nlog_level = \"error\"\n",
        address.port()
    );
    fs::write(&file, config)?;
    let mut command = os::command(Sdk::mcp_proxy());
    command.arg("--config").arg(&file);
    listening("mcp-proxy", command, address)
}

/// `mcp-proxy` for Node.js, which starts its server and speaks to it over standard input.
pub(crate) fn mcp_proxy_node(stage: &Stage) -> Result<Proxy> {
    let address = free_address()?;
    let mut node = Sdk::mcp_proxy_node();
    node.args(["--host", "127.0.0.1", "--server", "stream", "--port"])
        .arg(address.port().to_string())
        .arg("--")
        .arg(&stage.bench)
        .args(["tools", "--stdio"]);
    listening("mcp-proxy for Node.js", node, address)
}

/// The proxy of `fastmcp`.
pub(crate) fn fastmcp(tools: SocketAddr) -> Result<Proxy> {
    let address = free_address()?;
    let script = "import sys\nfrom fastmcp.server import create_proxy\n\
                  create_proxy(sys.argv[1]).run(transport='http', host='127.0.0.1', port=int(sys.argv[2]), log_level='error', show_banner=False)\n";
    let mut python = Sdk::fastmcp().command(script);
    python
        .arg(format!("http://{tools}/mcp"))
        .arg(address.port().to_string());
    listening("fastmcp", python, address)
}

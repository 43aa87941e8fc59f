"""An MCP server made with the official SDK, over TLS. It takes one token, if it is given one. It prints what it sees, one JSON object a line."""

import json
import socket
import sys

import anyio
import uvicorn
from mcp.server.fastmcp import Context, FastMCP, Image
from mcp.server.transport_security import TransportSecuritySettings

address, certificate, key, token = sys.argv[1:5]
counts = {}


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


# Clients come by a name that is pinned to loopback.
server = FastMCP("tests", transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def count(ctx: Context) -> str:
    """Counts its calls in a session."""
    request = ctx.request_context.request
    session = request.headers.get("mcp-session-id") or request.query_params.get("session_id")
    counts[session] = counts.get(session, 0) + 1
    return f"call {counts[session]}"


@server.tool()
def picture() -> Image:
    """Shows a picture."""
    return Image(data=b"\x89PNG\r\n\x1a\n", format="png")


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("it is broken")


@server.tool()
async def report(ctx: Context) -> str:
    """Tells how far it is."""
    await ctx.report_progress(1, 2)
    await ctx.info("half of it")
    return "all of it"


@server.tool()
async def wait() -> str:
    """Waits for a minute."""
    try:
        say(waiting=True)
        await anyio.sleep(60)
    except anyio.get_cancelled_exc_class():
        say(cancelled=True)
        raise
    return "waited"


@server.tool()
def long(characters: int) -> str:
    """Says much."""
    return "x" * characters


@server.tool()
def whoami(ctx: Context) -> str:
    """Says as whom it is called."""
    return ctx.request_context.request.headers.get("authorization", "nobody")


@server.tool()
async def grow(ctx: Context) -> str:
    """Gives the server another tool."""
    server.add_tool(lambda: "grown", name="grown", description="Was not there before.")
    await ctx.session.send_tool_list_changed()
    return "there is one more"


def guarded(app):
    async def serve(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        say(request={"method": scope["method"], "path": scope["path"], "session": headers.get("mcp-session-id"), "authorization": headers.get("authorization")})
        if token and headers.get("authorization") != f"Bearer {token}":
            await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]})
            return await send({"type": "http.response.body", "body": b""})
        await app(scope, receive, send)

    return serve


listener = socket.socket()
listener.bind((address, 0))
listener.listen()


def both(newer, older):
    """The transport of one path beside the older one of /sse, as servers offer them to clients of any age."""

    async def serve(scope, receive, send):
        is_older = scope.get("path", "").startswith(("/sse", "/messages"))
        await (older if is_older else newer)(scope, receive, send)

    return serve


app = both(server.streamable_http_app(), server.sse_app())
config = uvicorn.Config(guarded(app), ssl_certfile=certificate, ssl_keyfile=key, log_level="critical")
# The files of the certificate may go once the port is known.
config.load()
say(port=listener.getsockname()[1])
uvicorn.Server(config).run(sockets=[listener])

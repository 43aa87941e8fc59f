"""An MCP server of the official SDK that tries what it is told to: over its standard streams, or at a port of loopback."""

import asyncio
import os
import socket
import sys
import urllib.request

from mcp.server.fastmcp import FastMCP

port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
server = FastMCP("hosted", host="127.0.0.1", port=port or 8000)


@server.tool()
async def reach(host: str, port: int) -> str:
    """Connects, and says what comes first."""
    # It may be this server that is reached.
    return await asyncio.to_thread(reached, host, port)


def reached(host, port):
    try:
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(f"GET /reached HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            said = connection.recv(100).decode(errors="replace")
            return f"reached: {said}" if said else "not reached: closed"
    except OSError as error:
        return f"not reached: {error}"


@server.tool()
def send(url: str) -> str:
    """Sends its secret, and says what comes back."""
    request = urllib.request.Request(url, headers={"x-token": os.environ["API_TOKEN"]})
    try:
        return "sent: " + urllib.request.urlopen(request, timeout=20).read().decode()
    except OSError as error:
        return f"not sent: {error}"


@server.tool()
def tell() -> str:
    """Tells what it has as its secret, and prints it."""
    print("the secret is", os.environ["API_TOKEN"], file=sys.stderr, flush=True)
    return os.environ["API_TOKEN"]


server.run(transport="streamable-http" if port else "stdio")

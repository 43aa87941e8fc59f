"""The official client of the transport before Streamable HTTP, at a gateway."""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.sse import sse_client

url, token = sys.argv[1:3]


async def main():
    async with sse_client(url, headers={"Authorization": f"Bearer {token}"}) as (reader, writer):
        async with ClientSession(reader, writer) as session:
            await session.initialize()
            tools = await session.list_tools()
            added = await session.call_tool("ts__add", {"a": 2, "b": 3})
            print(json.dumps({"tools": [tool.name for tool in tools.tools], "added": added.content[0].text}))


asyncio.run(main())

"""The official client, at a gateway of a server."""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

url, token = sys.argv[1:3]


async def main():
    async with streamablehttp_client(url, headers={"Authorization": f"Bearer {token}"}) as (reader, writer, _):
        async with ClientSession(reader, writer) as session:
            begun = await session.initialize()
            tools = await session.list_tools()
            added = await session.call_tool("docs__add", {"a": 2, "b": 3})
            own = await session.call_tool("bailiwick__environment_list", {})
            print(
                json.dumps(
                    {
                        "title": begun.serverInfo.title,
                        "instructions": begun.instructions,
                        "tools": [tool.name for tool in tools.tools],
                        "added": added.content[0].text,
                        "environments": own.structuredContent,
                    }
                )
            )


asyncio.run(main())

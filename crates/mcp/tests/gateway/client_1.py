"""The official client of the first major version, at a gateway."""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

url, token = sys.argv[1:3]


async def main():
    told = []

    async def hear(message):
        told.append(type(getattr(message, "root", message)).__name__)

    async def follow(progress, total, message):
        told.append(f"{progress:g} of {total:g}")

    async with streamablehttp_client(url, headers={"Authorization": f"Bearer {token}"}) as (reader, writer, _):
        async with ClientSession(reader, writer, message_handler=hear) as session:
            begun = await session.initialize()
            tools = await session.list_tools()
            added = await session.call_tool("ts__add", {"a": 2, "b": 3})
            failed = await session.call_tool("py__fail", {})
            await session.call_tool("py__report", {}, progress_callback=follow)
            grown = await session.call_tool("ts__grow", {})
            for _ in range(100):
                if "ToolListChangedNotification" in told:
                    break
                await asyncio.sleep(0.05)
            again = await session.list_tools()
            print(
                json.dumps(
                    {
                        "revision": begun.protocolVersion,
                        "tools": [tool.name for tool in tools.tools],
                        "added": added.content[0].text,
                        "failed": failed.isError,
                        "grown": grown.content[0].text,
                        "again": [tool.name for tool in again.tools],
                        "told": told,
                    }
                )
            )


asyncio.run(main())

"""The official client of the second major version, at a gateway: of the revision without sessions."""

import asyncio
import json
import sys

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

url, token = sys.argv[1:3]


async def main():
    told = []

    async def follow(progress, total, message):
        told.append(f"{progress:g} of {total:g}")

    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            tools = await client.list_tools()
            added = await client.call_tool("ts__add", {"a": 2, "b": 3})
            failed = await client.call_tool("py__fail", {})
            await client.call_tool("py__report", {}, progress_callback=follow)
            async with client.listen(tools_list_changed=True) as news:
                # Its servers are listened to from now on, too.
                await asyncio.sleep(0.5)
                grown = await client.call_tool("ts__grow", {})
                event = await asyncio.wait_for(anext(news), 10)
                told.append(type(event).__name__.replace("Tools", "Tool") + "Notification")
            again = await client.list_tools()
            print(
                json.dumps(
                    {
                        "revision": client.protocol_version,
                        "tools": [tool.name for tool in tools.tools],
                        "added": added.content[0].text,
                        "failed": failed.is_error,
                        "grown": grown.content[0].text,
                        "again": [tool.name for tool in again.tools],
                        "told": told,
                    }
                )
            )


asyncio.run(main())

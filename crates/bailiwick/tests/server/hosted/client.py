"""The official client: calls of tools at a gateway, one after the other. A server that is still being started is asked again."""

import asyncio
import json
import sys
import time

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client

url, token, calls = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
PATIENCE = 540


async def call(session, tool, arguments):
    begun = time.monotonic()
    while True:
        try:
            result = await session.call_tool(tool, arguments)
        except McpError as error:
            if "still being started" not in str(error) or time.monotonic() - begun > PATIENCE:
                return {"refused": str(error)}
            await asyncio.sleep(1)
            continue
        texts = [block.text for block in result.content if block.type == "text"]
        return {"text": "\n".join(texts), "is_error": result.isError}


async def main():
    async with streamablehttp_client(url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as streams:
        async with ClientSession(*streams[:2]) as session:
            await session.initialize()
            said = [await call(session, tool, arguments) for tool, arguments in calls]
            tools = await session.list_tools()
            print(json.dumps({"said": said, "tools": [tool.model_dump() for tool in tools.tools], "missing": tools.meta}))


asyncio.run(main())

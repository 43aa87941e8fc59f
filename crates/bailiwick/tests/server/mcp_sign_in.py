"""The official client signs in at a gateway, with a person's browser played by a few requests, and calls a tool."""

import asyncio
import html
import json
import re
import sys
from urllib.parse import parse_qs, urlsplit

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.auth import OAuthClientMetadata

url, email, password = sys.argv[1:4]
origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
came_back = {}
pages = []


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


def fields(page):
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


async def browse(address):
    async with httpx.AsyncClient() as browser:
        sign_in = (await browser.get(address)).text
        form = {**fields(sign_in), "email": email, "password": password}
        signed_in = await browser.post(f"{origin}/oauth/sign-in", data=form, headers={"origin": origin})
        # A browser takes loopback for TLS, which this one does not.
        cookies = "; ".join(cookie.split(";")[0] for cookie in signed_in.headers.get_list("set-cookie"))
        question = (await browser.get(origin + signed_in.headers["location"], headers={"cookie": cookies})).text
        pages.append(question)
        form = {**fields(question), "decision": "allow"}
        agreed = await browser.post(f"{origin}/oauth/authorize", data=form, headers={"origin": origin, "cookie": cookies})
        came_back.update(parse_qs(urlsplit(agreed.headers["location"]).query))


async def back():
    return came_back["code"][0], came_back.get("state", [None])[0]


async def main():
    metadata = OAuthClientMetadata(client_name="Python SDK", redirect_uris=["http://localhost:3030/callback"])
    storage = Storage()
    auth = OAuthClientProvider(url, metadata, storage, browse, back)
    async with streamablehttp_client(url, auth=auth) as (reader, writer, _):
        async with ClientSession(reader, writer) as session:
            await session.initialize()
            tools = await session.list_tools()
            added = await session.call_tool("docs__add", {"a": 2, "b": 3})
    said = {
        "tools": [tool.name for tool in tools.tools],
        "added": added.content[0].text,
        "asked": "Python SDK" in pages[0] and "door" in pages[0],
        "token": storage.tokens.access_token,
    }
    print(json.dumps(said))


asyncio.run(main())

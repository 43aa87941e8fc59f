// An MCP server made with the official SDK of TypeScript, over TLS: the same tools and the same output as the one in Python beside it.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const [address, certificate, key, token] = process.argv.slice(2);

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

const text = (text) => ({ content: [{ type: "text", text }] });

/** One session's server: here the SDK has one for each. */
function server() {
  const server = new McpServer({ name: "tests", version: "1.0.0" }, { capabilities: { logging: {} } });
  let calls = 0;
  const tool = (name, description, inputSchema, run) => server.registerTool(name, { description, inputSchema }, run);
  tool("add", "Adds two numbers.", { a: z.number(), b: z.number() }, ({ a, b }) => text(String(a + b)));
  tool("count", "Counts its calls in a session.", {}, () => text(`call ${++calls}`));
  tool("picture", "Shows a picture.", {}, () => ({
    content: [{ type: "image", data: Buffer.from("\x89PNG\r\n\x1a\n", "latin1").toString("base64"), mimeType: "image/png" }],
  }));
  tool("fail", "Fails.", {}, () => {
    throw new Error("it is broken");
  });
  tool("report", "Tells how far it is.", {}, async (_, extra) => {
    const progressToken = extra._meta?.progressToken;
    if (progressToken !== undefined) {
      await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1, total: 2 } });
    }
    await extra.sendNotification({ method: "notifications/message", params: { level: "info", data: "half of it" } });
    return text("all of it");
  });
  tool("wait", "Waits for a minute.", {}, (_, extra) => {
    say({ waiting: true });
    return new Promise((done) => {
      const over = setTimeout(() => done(text("waited")), 60_000);
      extra.signal.addEventListener("abort", () => {
        clearTimeout(over);
        say({ cancelled: true });
        done(text("cancelled"));
      });
    });
  });
  tool("long", "Says much.", { characters: z.number() }, ({ characters }) => text("x".repeat(characters)));
  tool("whoami", "Says as whom it is called.", {}, (_, extra) => text(extra.requestInfo?.headers.authorization ?? "nobody"));
  tool("grow", "Gives the server another tool.", {}, () => {
    tool("grown", "Was not there before.", {}, () => text("grown"));
    return text("there is one more");
  });
  return server;
}

const sessions = new Map();

async function newer(request, response) {
  let transport = sessions.get(request.headers["mcp-session-id"]);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await server().connect(transport);
  }
  await transport.handleRequest(request, response);
}

async function older(request, response, url) {
  if (request.method === "GET") {
    const transport = new SSEServerTransport("/messages", response);
    sessions.set(transport.sessionId, transport);
    return server().connect(transport);
  }
  const transport = sessions.get(url.searchParams.get("sessionId"));
  return transport ? transport.handlePostMessage(request, response) : response.writeHead(404).end();
}

const listener = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
  const url = new URL(request.url, "https://localhost");
  const { authorization = null, "mcp-session-id": session = null } = request.headers;
  say({ request: { method: request.method, path: url.pathname, session, authorization } });
  if (token && authorization !== `Bearer ${token}`) {
    return response.writeHead(401, { "www-authenticate": "Bearer" }).end();
  }
  const serve = /^\/(sse|messages)/.test(url.pathname) ? older : newer;
  serve(request, response, url).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
listener.listen(0, address, () => say({ port: listener.address().port }));

// The server that the official conformance suite of MCP asks for, made with the official SDK of TypeScript. What it has, and what that says, is
// the suite's wish; it speaks plain HTTP on loopback.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { McpServer, ResourceTemplate } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CompleteRequestSchema,
  ListToolsRequestSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const pause = () => new Promise((done) => setTimeout(done, 50));
const text = (text) => ({ type: "text", text });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const resource = (uri, mimeType, text) => ({ type: "resource", resource: { uri, mimeType, text } });

/** The one tool whose schema the suite looks at word for word. */
const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: { address: { $anchor: "addressDef", type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

function tools(server) {
  const tool = (name, description, inputSchema, run) => server.registerTool(name, { description, inputSchema }, run);
  const says = (...content) => () => ({ content });
  tool("test_simple_text", "Says something.", {}, says(text("This is a simple text response for testing.")));
  tool("test_image_content", "Shows a picture.", {}, says(image));
  tool("test_audio_content", "Plays a sound.", {}, says({ type: "audio", data: WAV, mimeType: "audio/wav" }));
  tool("test_embedded_resource", "Has a resource in its result.", {}, says(resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")));
  tool(
    "test_multiple_content_types",
    "Says and shows.",
    {},
    says(text("Multiple content types test:"), image, resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')),
  );
  tool("test_error_handling", "Fails.", {}, () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
  tool("test_tool_with_logging", "Writes a log.", {}, async (_, extra) => {
    for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      await extra.sendNotification({ method: "notifications/message", params: { level: "info", data } });
      await pause();
    }
    return { content: [text("Logged three times.")] };
  });
  tool("test_tool_with_progress", "Says how far it is.", {}, async (_, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
      }
      await pause();
    }
    return { content: [text(String(progressToken))] };
  });
  tool("test_sampling", "Asks the client's model.", { prompt: z.string() }, async ({ prompt }, extra) => {
    const params = { messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 };
    const answer = await extra.sendRequest({ method: "sampling/createMessage", params }, z.any());
    return { content: [text(`LLM response: ${answer.content.text}`)] };
  });
  tool("test_elicitation", "Asks the client's user.", { message: z.string() }, async ({ message }, extra) => {
    const requestedSchema = { type: "object", properties: { response: { type: "string" } }, required: ["response"] };
    const answer = await extra.sendRequest({ method: "elicitation/create", params: { message, requestedSchema } }, z.any());
    return { content: [text(`User response: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`)] };
  });
  tool("json_schema_2020_12_tool", "Has a schema of the newest dialect.", { name: z.string().optional() }, says(text("well")));
  tool("test_trigger_tool_change", "Gives the server another tool.", {}, () => {
    tool(`grown_${randomUUID()}`, "Was not there before.", {}, says(text("grown")));
    return { content: [text("there is one more")] };
  });
  tool("test_trigger_prompt_change", "Gives the server another prompt.", {}, () => {
    server.registerPrompt(`grown_${randomUUID()}`, { description: "Was not there before." }, () => ({ messages: [] }));
    return { content: [text("there is one more")] };
  });
  const list = server.server._requestHandlers.get("tools/list");
  server.server.setRequestHandler(ListToolsRequestSchema, async (request, extra) => {
    const listed = await list(request, extra);
    listed.tools.find(({ name }) => name === "json_schema_2020_12_tool").inputSchema = SCHEMA;
    return listed;
  });
}

function resources(server) {
  const add = (name, uri, mimeType, content) =>
    server.registerResource(name, uri, { description: `${name} for testing`, mimeType }, () => ({ contents: [{ uri, mimeType, ...content }] }));
  add("Static Text Resource", "test://static-text", "text/plain", { text: "This is the content of the static text resource." });
  add("Static Binary Resource", "test://static-binary", "image/png", { blob: PNG });
  add("Watched Resource", "test://watched-resource", "text/plain", { text: "Watched resource content" });
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  const metadata = { description: "A resource for each id", mimeType: "application/json" };
  server.registerResource("Resource Template", template, metadata, (uri, { id }) => {
    const data = { id, templateTest: true, data: `Data for ID: ${id}` };
    return { contents: [{ uri: uri.href, mimeType: "application/json", text: JSON.stringify(data) }] };
  });
}

function prompts(server) {
  const user = (content) => ({ role: "user", content });
  server.registerPrompt("test_simple_prompt", { description: "A prompt." }, () => ({ messages: [user(text("This is a simple prompt for testing."))] }));
  const two = { arg1: z.string().describe("First test argument"), arg2: z.string().describe("Second test argument") };
  server.registerPrompt("test_prompt_with_arguments", { description: "A prompt with required arguments.", argsSchema: two }, ({ arg1, arg2 }) => ({
    messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  }));
  const uri = { resourceUri: z.string().describe("URI of the resource to embed") };
  server.registerPrompt("test_prompt_with_embedded_resource", { description: "A prompt with a resource.", argsSchema: uri }, ({ resourceUri }) => ({
    messages: [
      user(resource(resourceUri, "text/plain", "Embedded resource content for testing.")),
      user(text("Please process the embedded resource above.")),
    ],
  }));
  server.registerPrompt("test_prompt_with_image", { description: "A prompt with a picture." }, () => ({
    messages: [user(image), user(text("Please analyze the image above."))],
  }));
}

/** One session's server. */
function server() {
  const capabilities = { logging: {}, completions: {}, tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true } };
  const server = new McpServer({ name: "mcp-conformance-test-server", version: "1.0.0" }, { capabilities });
  tools(server);
  resources(server);
  prompts(server);
  const empty = async () => ({});
  server.server.setRequestHandler(SubscribeRequestSchema, empty);
  server.server.setRequestHandler(UnsubscribeRequestSchema, empty);
  server.server.setRequestHandler(SetLevelRequestSchema, empty);
  server.server.setRequestHandler(CompleteRequestSchema, async () => ({ completion: { values: [], total: 0, hasMore: false } }));
  return server;
}

const sessions = new Map();

async function serve(request, response) {
  let transport = sessions.get(request.headers["mcp-session-id"]);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID, onsessioninitialized: (id) => sessions.set(id, transport) });
    await server().connect(transport);
  }
  await transport.handleRequest(request, response);
}

const listener = createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
listener.listen(0, process.argv[2], () => say({ port: listener.address().port }));

// The official client of TypeScript, at a gateway.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [url, token] = process.argv.slice(2);
const told = [];
const client = new Client({ name: "test", version: "1" });
const changed = new Promise((done) => {
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    told.push("ToolListChangedNotification");
    done();
  });
});
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
await client.connect(transport);
const tools = await client.listTools();
const added = await client.callTool({ name: "py__add", arguments: { a: 2, b: 3 } });
const failed = await client.callTool({ name: "ts__fail", arguments: {} });
await client.callTool({ name: "ts__report", arguments: {} }, undefined, { onprogress: ({ progress, total }) => told.push(`${progress} of ${total}`) });
const abort = new AbortController();
const waiting = client.callTool({ name: "ts__wait", arguments: {} }, undefined, { signal: abort.signal });
setTimeout(() => abort.abort("enough"), 500);
const aborted = await waiting.then(() => false, () => true);
const grown = await client.callTool({ name: "ts__grow", arguments: {} });
await Promise.race([changed, new Promise((done) => setTimeout(done, 5000))]);
const again = await client.listTools();
await transport.terminateSession();
await client.close();
const names = ({ tools }) => tools.map(({ name }) => name);
const { protocolVersion: revision } = transport;
console.log(
  JSON.stringify({
    revision,
    tools: names(tools),
    added: added.content[0].text,
    failed: failed.isError,
    aborted,
    grown: grown.content[0].text,
    again: names(again),
    told,
  }),
);

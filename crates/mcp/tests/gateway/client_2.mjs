// The official client of TypeScript of the second major version, at a gateway: of the revision without sessions.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, token] = process.argv.slice(2);
const told = [];
const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } });
const changed = new Promise((done) => {
  client.setNotificationHandler("notifications/tools/list_changed", () => {
    told.push("ToolListChangedNotification");
    done();
  });
});
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }));
const revision = client.getNegotiatedProtocolVersion();
const tools = await client.listTools();
const added = await client.callTool({ name: "py__add", arguments: { a: 2, b: 3 } });
const failed = await client.callTool({ name: "ts__fail", arguments: {} });
await client.callTool({ name: "ts__report", arguments: {} }, { onprogress: ({ progress, total }) => told.push(`${progress} of ${total}`) });
const abort = new AbortController();
const waiting = client.callTool({ name: "ts__wait", arguments: {} }, { signal: abort.signal });
setTimeout(() => abort.abort("enough"), 500);
const aborted = await waiting.then(() => false, () => true);
const news = await client.listen({ toolsListChanged: true });
// Its servers are listened to from now on, too.
await new Promise((done) => setTimeout(done, 500));
const grown = await client.callTool({ name: "ts__grow", arguments: {} });
await Promise.race([changed, new Promise((done) => setTimeout(done, 5000))]);
const again = await client.listTools();
await news.close();
await client.close();
const names = ({ tools }) => tools.map(({ name }) => name);
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
process.exit(0);

// The official client of TypeScript signs in at a gateway, with a person's browser played by a few requests, and calls a tool.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";

const [url, email, password] = process.argv.slice(2);
const { origin } = new URL(url);
const kept = {};
let code;

const unescaped = (text) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&");
const fields = (page) => [...page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(([, name, value]) => [name, unescaped(value)]);
const send = (path, form, headers) =>
  fetch(origin + path, { method: "POST", body: new URLSearchParams(form), headers: { origin, ...headers }, redirect: "manual" });

async function browse(address) {
  const signIn = await (await fetch(address)).text();
  const signedIn = await send("/oauth/sign-in", [...fields(signIn), ["email", email], ["password", password]]);
  // A browser takes loopback for TLS, which this one does not.
  const cookie = signedIn.headers
    .getSetCookie()
    .map((one) => one.split(";")[0])
    .join("; ");
  const question = await (await fetch(origin + signedIn.headers.get("location"), { headers: { cookie } })).text();
  const agreed = await send("/oauth/authorize", [...fields(question), ["decision", "allow"]], { cookie });
  code = new URL(agreed.headers.get("location")).searchParams.get("code");
}

const authProvider = {
  redirectUrl: "http://127.0.0.1:3031/callback",
  clientMetadata: { client_name: "TypeScript SDK", redirect_uris: ["http://127.0.0.1:3031/callback"] },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => (kept.tokens = tokens),
  redirectToAuthorization: browse,
  saveCodeVerifier: (verifier) => (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
};
const connect = async () => {
  const client = new Client({ name: "test", version: "1" });
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(code);
    return null;
  }
};
const client = (await connect()) ?? (await connect());
const { tools } = await client.listTools();
const added = await client.callTool({ name: "docs__add", arguments: { a: 2, b: 3 } });
await client.close();
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), added: added.content[0].text, token: kept.tokens.access_token }));

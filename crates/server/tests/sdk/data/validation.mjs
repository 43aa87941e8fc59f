// Validation of OAuth credentials through the official SDK. Arguments: URL, key, URL of an authorization and MCP server.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const [, , baseURL, apiKey, servers] = process.argv;
const client = new Anthropic({ baseURL, apiKey, maxRetries: 1 });
const credentials = client.beta.vaults.credentials;
const vault = await client.beta.vaults.create({ display_name: "Team" });

async function validated(path, token, refreshToken) {
  const auth = { type: "mcp_oauth", mcp_server_url: servers + path, access_token: token };
  if (refreshToken) {
    auth.refresh = {
      client_id: "none",
      refresh_token: refreshToken,
      token_endpoint: `${servers}/token`,
      token_endpoint_auth: { type: "none" },
    };
  }
  const made = await credentials.create(vault.id, { auth });
  const found = await credentials.mcpOAuthValidate(made.id, { vault_id: vault.id });
  assert.equal(found.credential_id, made.id);
  await credentials.archive(made.id, { vault_id: vault.id });
  return found;
}

assert.equal((await validated("/mcp", "access-0")).status, "valid");
const refreshed = await validated("/mcp", "access-old", "refresh-0");
assert.deepEqual([refreshed.status, refreshed.refresh.status, refreshed.mcp_probe], ["valid", "succeeded", null]);
const refused = await validated("/mcp", "access-old", "refresh-0");
assert.deepEqual([refused.status, refused.refresh.status], ["invalid", "failed"]);
assert.equal(refused.mcp_probe.http_response.status_code, 401);
console.log("done");

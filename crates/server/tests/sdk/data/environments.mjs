// The example of Managed Agents' documentation, word for word, and what becomes of it. Arguments: URL, key.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 1 });

const environment = await client.beta.environments.create({
  name: "node-test-env",
  config: {
    type: "cloud",
    networking: {
      type: "limited",
      allowed_hosts: ["api.example.com"],
      allow_package_managers: true,
      allow_mcp_servers: true,
    },
    packages: {
      type: "packages",
      npm: ["typescript", "tsx"],
      pip: ["pytest==8.3.4"],
    },
  },
});

assert.match(environment.id, /^env_/);
assert.deepEqual(environment.config.networking.allowed_hosts, ["api.example.com"]);
const seen = [];
for await (const one of client.beta.environments.list({ limit: 1 })) seen.push(one.id);
assert.ok(seen.includes(environment.id));
await client.beta.environments.update(environment.id, { description: "seen" });
const read = await client.beta.environments.retrieve(environment.id);
assert.equal(read.description, "seen");
await client.beta.environments.archive(environment.id);
assert.equal((await client.beta.environments.delete(environment.id)).type, "environment_deleted");
await assert.rejects(client.beta.environments.retrieve(environment.id), Anthropic.NotFoundError);
console.log("done");

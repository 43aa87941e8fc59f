// Sessions, the work queue of a self-hosted environment and the SDK's own worker. Arguments: URL, key.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 1 });
const { sessions, environments } = client.beta;
const { work } = environments;
const agent = await client.beta.agents.create({ name: "Coder", model: "claude-opus-5" });
const cloud = await environments.create({ name: "cloud" });

async function all(list) {
  const found = [];
  for await (const one of list) found.push(one);
  return found;
}

async function bound() {
  const session = await sessions.create({
    agent: { type: "agent_with_overrides", id: agent.id, system: "Be brief." },
    environment_id: cloud.id,
    title: "Fix it",
    resources: [
      { type: "github_repository", url: "https://github.com/acme/tool", authorization_token: "ghp_secret" },
    ],
  });
  assert.equal(session.status, "idle");
  assert.equal(session.agent.system, "Be brief.");
  assert.equal(session.resources[0].mount_path, "/workspace/tool");
  assert.ok(!JSON.stringify(session).includes("ghp_secret"));
  const changed = await sessions.update(session.id, { title: null, metadata: { a: "1" } });
  assert.deepEqual([changed.title, changed.metadata], [null, { a: "1" }]);
  const [repository] = await all(sessions.resources.list(session.id));
  const target = { session_id: session.id };
  await sessions.resources.update(repository.id, { ...target, authorization_token: "ghp_other" });
  assert.equal((await sessions.resources.retrieve(repository.id, target)).url, repository.url);
  assert.equal((await sessions.resources.delete(repository.id, target)).type, "session_resource_deleted");
  const others = [];
  for (let n = 0; n < 3; n++) others.push((await sessions.create({ agent: agent.id, environment_id: cloud.id })).id);
  const found = await all(sessions.list({ limit: 2, agent_id: agent.id, statuses: ["idle"] }));
  assert.deepEqual(new Set(found.map((one) => one.id)), new Set([session.id, ...others]));
  assert.equal((await sessions.archive(session.id)).status, "terminated");
  assert.equal((await sessions.delete(session.id)).type, "session_deleted");
  await assert.rejects(sessions.retrieve(session.id), Anthropic.NotFoundError);
  await assert.rejects(environments.delete(cloud.id), Anthropic.ConflictError);
  const unknown = { agent: agent.id, environment_id: "env_1ChGqExyZXj8gBdypLbMAf" };
  await assert.rejects(sessions.create(unknown), Anthropic.NotFoundError);
  await assert.rejects(sessions.create({ agent: agent.id, environment_id: cloud.id, title: 1 }), Anthropic.BadRequestError);
}

const hosted = await environments.create({ name: "hosted", config: { type: "self_hosted" } });
const made = await fetch(`${baseURL}/api/environments/${hosted.id}/keys`, {
  method: "POST",
  headers: { "x-api-key": apiKey, "content-type": "application/json" },
  body: JSON.stringify({ name: "worker" }),
});
const { key } = await made.json();
const at = { environment_id: hosted.id };

async function queue() {
  const worker = new Anthropic({ baseURL, apiKey: null, authToken: key, maxRetries: 0 }).beta.environments.work;
  assert.equal(await worker.poll(hosted.id, { block_ms: 50 }), null);
  const session = await sessions.create({ agent: agent.id, environment_id: hosted.id });
  const item = await worker.poll(hosted.id, { block_ms: 999 });
  assert.equal(item.data.id, session.id);
  assert.equal(await worker.poll(hosted.id), null);
  assert.equal((await worker.ack(item.id, at)).state, "starting");
  const first = await worker.heartbeat(item.id, { ...at, expected_last_heartbeat: "NO_HEARTBEAT" });
  assert.deepEqual([first.state, first.lease_extended], ["active", true]);
  const stale = await worker
    .heartbeat(item.id, { ...at, expected_last_heartbeat: "NO_HEARTBEAT" })
    .then(() => assert.fail("taken"), (error) => error);
  assert.equal(stale.status, 412);
  assert.equal((await work.update(item.id, { ...at, metadata: { host: "a" } })).metadata.host, "a");
  assert.equal((await worker.stop(item.id, at)).state, "stopping");
  assert.equal((await worker.stop(item.id, { ...at, force: true })).state, "stopped");
  assert.equal((await work.retrieve(item.id, at)).state, "stopped");
  assert.equal((await work.stats(hosted.id)).depth, 0);
  assert.equal((await all(work.list(hosted.id, { limit: 1 }))).length, 1);
}

async function served() {
  const message = { type: "user.message", content: [{ type: "text", text: "serve" }] };
  const session = await sessions.create({ agent: agent.id, environment_id: hosted.id, initial_events: [message] });
  const workdir = await mkdtemp(join(tmpdir(), "worker-"));
  const stop = new AbortController();
  const worker = work.worker({ environmentId: hosted.id, environmentKey: key, workdir, maxIdleMs: 100 });
  const running = worker.run(stop.signal).catch(() => {});
  let item;
  for (let n = 0; n < 300 && item?.state !== "stopped"; n++) {
    await sleep(100);
    item = (await all(work.list(hosted.id))).find((one) => one.data.id === session.id);
  }
  assert.equal(item.state, "stopped");
  assert.ok(item.acknowledged_at && item.latest_heartbeat_at && item.stopped_at, JSON.stringify(item));
  const events = await all(sessions.events.list(session.id));
  assert.ok(events.some((event) => event.type === "user.tool_result"), JSON.stringify(events));
  assert.equal(events.findLast((event) => event.type === "agent.message").content[0].text, "It came to served");
  stop.abort();
  await running;
  await rm(workdir, { recursive: true });
}

await bound();
await queue();
await served();
console.log("done");
process.exit(0);

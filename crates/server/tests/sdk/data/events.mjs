// Events, streams and threads of sessions, of an agent that a script runs. Arguments: URL, key.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const { sessions } = client.beta;
const agent = await client.beta.agents.create({ name: "Coder", model: "claude-opus-5" });
const environment = await client.beta.environments.create({ name: "dev" });
const session = (more = {}) => sessions.create({ agent: agent.id, environment_id: environment.id, ...more });
const said = (text) => ({ type: "user.message", content: [{ type: "text", text }] });

async function untilIdle(stream) {
  const seen = [];
  // Leaving a loop over a stream ends it, so it is read step by step.
  for (;;) {
    const { value, done } = await stream.next();
    assert.ok(!done, "the stream ended");
    seen.push(value);
    if (value.type === "session.status_idle") return seen;
  }
}

const texts = (events) => events.filter((one) => one.type === "agent.message").map((one) => one.content[0].text);

async function all(list) {
  const found = [];
  for await (const one of list) found.push(one);
  return found;
}

async function streamed() {
  const one = await session();
  const stream = await sessions.events.stream(one.id);
  const events = stream[Symbol.asyncIterator]();
  const sent = await sessions.events.send(one.id, { events: [said("hello")] });
  assert.equal(sent.data[0].processed_at, null);
  const seen = await untilIdle(events);
  assert.deepEqual(texts(seen), ["You said hello"]);
  const listed = await all(sessions.events.list(one.id, { limit: 2 }));
  assert.equal(new Set(listed.map((event) => event.id)).size, 9);
  const backwards = await all(sessions.events.list(one.id, { limit: 3, order: "desc" }));
  assert.deepEqual(backwards.reverse(), listed);
  const seenIds = seen.map((event) => event.id);
  assert.deepEqual(listed.map((event) => event.id).filter((id) => seenIds.includes(id)), seenIds);
  await sessions.events.send(one.id, { events: [said("ask")] });
  const [call] = (await untilIdle(events)).at(-1).stop_reason.event_ids;
  const confirmation = { type: "user.tool_confirmation", tool_use_id: call, result: "allow" };
  const first = await sessions.events.send(one.id, { events: [confirmation] });
  const again = await sessions.events.send(one.id, { events: [confirmation] });
  assert.equal(again.data[0].id, first.data[0].id);
  assert.deepEqual(texts(await untilIdle(events)), ["It came to allow"]);
  await sessions.events.send(one.id, { events: [said("custom")] });
  const [custom] = (await untilIdle(events)).at(-1).stop_reason.event_ids;
  const result = { type: "user.custom_tool_result", custom_tool_use_id: custom, content: [{ type: "text", text: "sunny" }] };
  await sessions.events.send(one.id, { events: [result] });
  assert.deepEqual(texts(await untilIdle(events)), ["It came to sunny"]);
  const other = { ...result, is_error: true };
  await assert.rejects(sessions.events.send(one.id, { events: [other] }), Anthropic.ConflictError);
  stream.controller.abort();
}

async function threads() {
  const one = await session({ initial_events: [said("first")] });
  assert.equal(one.status, "running");
  const [thread] = await all(sessions.threads.list(one.id));
  const at = { session_id: one.id };
  assert.equal((await sessions.threads.retrieve(thread.id, at)).agent.name, "Coder");
  const stream = await sessions.threads.events.stream(thread.id, at);
  const events = stream[Symbol.asyncIterator]();
  await sessions.events.send(one.id, { events: [said("again")] });
  let seen = await untilIdle(events);
  if (!texts(seen).includes("You said again")) seen = await untilIdle(events);
  assert.ok(texts(seen).includes("You said again"));
  const ofThread = await all(sessions.threads.events.list(thread.id, at));
  assert.deepEqual(ofThread, await all(sessions.events.list(one.id)));
  stream.controller.abort();
}

async function ended() {
  const [one, other] = [await session(), await session()];
  const streams = [await sessions.events.stream(one.id), await sessions.events.stream(other.id)];
  await sessions.archive(one.id);
  assert.equal((await all(streams[0])).at(-1).type, "session.status_terminated");
  await sessions.delete(other.id);
  assert.deepEqual((await all(streams[1])).map((event) => event.type), ["session.deleted"]);
  await assert.rejects(sessions.events.stream(other.id), Anthropic.NotFoundError);
}

await streamed();
await threads();
await ended();
console.log("done");
process.exit(0);

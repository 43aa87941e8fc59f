// Every event of a session, each once and in order, over connections that are lost.
//
// `Last-Event-ID` is an extension of Bailiwick. Where it is not known, list after each connect and leave out the ids that you have.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const { events } = client.beta.sessions;

const agent = await client.beta.agents.create({
  name: "Counter",
  model: "claude-sonnet-4-5",
  tools: [{ type: "agent_toolset_20260401" }],
});
const environment = await client.beta.environments.create({
  name: "follow",
  config: { type: "cloud", networking: { type: "limited", allowed_hosts: [] } },
});
const session = await client.beta.sessions.create({
  agent: agent.id,
  environment_id: environment.id,
  initial_events: [{ type: "user.message", content: [{ type: "text", text: "Count." }] }],
});

/** What happened since the event `last`, and what happens, for as long as this connection lasts. */
async function* connected(last?: string) {
  const headers = last === undefined ? {} : { "Last-Event-ID": last };
  const stream = await events.stream(session.id, {}, { headers });
  // What happened before the stream was open; it may have some of that too.
  if (last === undefined) yield* events.list(session.id);
  let number = 0;
  for await (const event of stream) {
    yield event;
    // As if the network were bad.
    if (number++ === 2) return;
  }
}

const seen = new Set<string>();
let last: string | undefined;
let isOver = false;
while (!isOver) {
  for await (const event of connected(last)) {
    // Parts of messages, which were not asked for, have no ids.
    if (!("id" in event) || seen.has(event.id)) continue;
    seen.add(event.id);
    last = event.id;
    console.log(event.type, event.id);
    isOver = event.type === "session.status_idle";
    if (isOver) break;
  }
}

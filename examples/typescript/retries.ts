// A model that fails: what the server tries by itself, what it tells meanwhile, and going on once it has given up.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const agent = await client.beta.agents.create({ name: "Helper", model: "claude-sonnet-4-5" });
const environment = await client.beta.environments.create({ name: "retries" });
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

const say = (words: string) =>
  client.beta.sessions.events.send(session.id, { events: [{ type: "user.message", content: [{ type: "text", text: words }] }] });

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

const stream = await client.beta.sessions.events.stream(session.id);
await say("Hello?");
for await (const event of stream) {
  if (event.type === "agent.message") {
    console.log("agent:", text(event.content));
  } else if (event.type === "session.error") {
    console.log("failed:", event.error.type, event.error.retry_status.type);
  } else if (event.type === "session.status_rescheduled") {
    console.log("trying again");
  } else if (event.type === "session.status_idle") {
    console.log("over:", event.stop_reason.type);
    if (event.stop_reason.type !== "retries_exhausted") break;
    // Nothing is tried until somebody says something.
    await say("Are you there now?");
  }
}

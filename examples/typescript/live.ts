// An answer while it is written: parts of messages, put together by the SDK.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";
import { accumulateManagedAgentsEvent } from "@anthropic-ai/sdk/lib/sessions/accumulate";
import type { AccumulatedEvent } from "@anthropic-ai/sdk/lib/sessions/accumulate";

const client = new Anthropic();

const agent = await client.beta.agents.create({ name: "Teller", model: "claude-sonnet-4-5" });
const environment = await client.beta.environments.create({ name: "live" });
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

let snapshot: AccumulatedEvent | undefined;
let shown = "";
let line = "";
const stream = await client.beta.sessions.events.stream(session.id, { event_deltas: ["agent.message"] });
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text: "Tell me a story." }] }],
});
for await (const event of stream) {
  snapshot = accumulateManagedAgentsEvent(snapshot, event);
  if (event.type === "event_delta") {
    const whole = text(snapshot?.content);
    line += `${whole.slice(shown.length)}|`;
    shown = whole;
  } else if (event.type === "agent.message") {
    // The event is what counts; its parts were the beginning of it.
    if (!text(event.content).startsWith(shown)) throw new Error("these are not its parts");
    console.log(line);
    console.log("whole:", text(event.content));
  } else if (event.type === "session.status_idle") {
    break;
  }
}

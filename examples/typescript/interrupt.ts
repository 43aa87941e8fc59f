// A command that takes too long is stopped, and the agent is told what to do instead.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const agent = await client.beta.agents.create({
  name: "Builder",
  model: "claude-sonnet-4-5",
  tools: [{ type: "agent_toolset_20260401" }],
});
const environment = await client.beta.environments.create({
  name: "interrupt",
  config: { type: "cloud", networking: { type: "limited", allowed_hosts: [] } },
});
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

const say = (words: string) =>
  client.beta.sessions.events.send(session.id, { events: [{ type: "user.message", content: [{ type: "text", text: words }] }] });

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

// Leaving a loop over a stream ends it, so there is one loop for both messages.
const stream = await client.beta.sessions.events.stream(session.id);
await say("Wait for the build.");
let isInstructed = false;
for await (const event of stream) {
  if (event.type === "agent.message") {
    console.log("agent:", text(event.content));
  } else if (event.type === "agent.tool_use") {
    console.log("tool:", event.name, event.input.command);
    if (String(event.input.command).startsWith("sleep")) {
      await client.beta.sessions.events.send(session.id, { events: [{ type: "user.interrupt" }] });
    }
  } else if (event.type === "agent.tool_result") {
    console.log(event.is_error ? "error:" : "result:", text(event.content).trim());
  } else if (event.type === "session.status_idle") {
    console.log("over:", event.stop_reason.type);
    if (isInstructed) break;
    isInstructed = true;
    await say("Do not wait: just look.");
  }
}

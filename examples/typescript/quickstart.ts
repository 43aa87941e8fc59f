// From an agent to its answer, as it comes.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const agent = await client.beta.agents.create({
  name: "Coding assistant",
  model: "claude-sonnet-4-5",
  system: "You are a careful programmer.",
  tools: [{ type: "agent_toolset_20260401" }],
});
const environment = await client.beta.environments.create({
  name: "quickstart",
  config: { type: "cloud", networking: { type: "limited", allowed_hosts: [] } },
});
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id, title: "Quickstart" });

// The stream first: it has what happens from here on.
const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text: "Write the first 10 primes to primes.txt." }] }],
});

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

for await (const event of stream) {
  if (event.type === "agent.message") {
    console.log("agent:", text(event.content));
  } else if (event.type === "agent.tool_use") {
    console.log("tool:", event.name, event.input.command);
  } else if (event.type === "agent.tool_result") {
    console.log("result:", text(event.content).trim());
  } else if (event.type === "session.status_idle") {
    console.log("over:", event.stop_reason.type);
    break;
  }
}

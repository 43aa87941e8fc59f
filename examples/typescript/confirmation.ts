// An agent that asks before it runs anything: one call is allowed, another one is not, with words for the agent.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const agent = await client.beta.agents.create({
  name: "Tidier",
  model: "claude-sonnet-4-5",
  tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: { type: "always_ask" } } }],
});
const environment = await client.beta.environments.create({
  name: "confirmation",
  config: { type: "cloud", networking: { type: "limited", allowed_hosts: [] } },
});
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

type Decision = { result: "allow" } | { result: "deny"; deny_message: string };

/** What a person would be asked. */
function decide(command: string): Decision {
  if (command.startsWith("rm ")) return { result: "deny", deny_message: "Nothing is removed here: move it to old/." };
  return { result: "allow" };
}

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

const commands = new Map<string, string>();
const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text: "Tidy up." }] }],
});
for await (const event of stream) {
  if (event.type === "agent.message") {
    console.log("agent:", text(event.content));
  } else if (event.type === "agent.tool_use") {
    commands.set(event.id, String(event.input.command));
  } else if (event.type === "agent.tool_result") {
    console.log(event.is_error ? "error:" : "result:", text(event.content).trim());
  } else if (event.type === "session.status_idle") {
    if (event.stop_reason.type !== "requires_action") {
      console.log("over:", event.stop_reason.type);
      break;
    }
    const confirmations = event.stop_reason.event_ids.map((waiting) => {
      const command = commands.get(waiting) ?? "";
      const decision = decide(command);
      console.log("asked:", command, "->", decision.result);
      return { type: "user.tool_confirmation" as const, tool_use_id: waiting, ...decision };
    });
    await client.beta.sessions.events.send(session.id, { events: confirmations });
  }
}

// A session that may cost a cent, and then a dollar.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const agent = await client.beta.agents.create({
  name: "Researcher",
  model: "claude-sonnet-4-5",
  tools: [{ type: "agent_toolset_20260401" }],
});
const environment = await client.beta.environments.create({
  name: "budget",
  config: { type: "cloud", networking: { type: "limited", allowed_hosts: [] } },
});

const cents = (amount: number) => ({ type: "limit" as const, max_list_cost: { amount: String(amount), currency: "USD" as const } });

const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id, budget: cents(1) });

const say = (words: string) =>
  client.beta.sessions.events.send(session.id, { events: [{ type: "user.message", content: [{ type: "text", text: words }] }] });

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

const stream = await client.beta.sessions.events.stream(session.id);
await say("Find out all about it.");
for await (const event of stream) {
  if (event.type === "agent.message") {
    console.log("agent:", text(event.content));
  } else if (event.type === "agent.tool_use") {
    console.log("tool:", event.name, event.input.command);
  } else if (event.type === "session.status_idle") {
    console.log("over:", event.stop_reason.type);
    if (event.stop_reason.type !== "budget_reached") break;
    try {
      await say("Go on.");
    } catch (error) {
      if (!(error instanceof Anthropic.BadRequestError)) throw error;
      console.log("more is not taken");
    }
    // It goes on with what it was at.
    await client.beta.sessions.update(session.id, { budget: cents(100) });
  }
}

// A tool of your own, which runs here and not in the sandbox.
//
// ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();

const agent = await client.beta.agents.create({
  name: "Shopkeeper",
  model: "claude-sonnet-4-5",
  tools: [
    {
      type: "custom",
      name: "stock",
      description: "How many of an article there are.",
      input_schema: { type: "object", properties: { article: { type: "string" } }, required: ["article"] },
    },
  ],
});
const environment = await client.beta.environments.create({ name: "shop" });
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

const stock = new Map([["nails", 250]]);

/** What the tool says to a call. */
function answer(call: string, article: string) {
  const number = stock.get(article);
  const said = number === undefined ? `there is no article ${article}` : String(number);
  return {
    type: "user.custom_tool_result" as const,
    custom_tool_use_id: call,
    is_error: number === undefined,
    content: [{ type: "text" as const, text: said }],
  };
}

const text = (content: { type: string }[] = []) => content.map((block) => ("text" in block ? block.text : "")).join("");

const calls = new Map<string, string>();
const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text: "How many nails and screws do we have?" }] }],
});
for await (const event of stream) {
  if (event.type === "agent.message") {
    console.log("agent:", text(event.content));
  } else if (event.type === "agent.custom_tool_use") {
    console.log("tool:", event.name, event.input.article);
    calls.set(event.id, String(event.input.article));
  } else if (event.type === "session.status_idle") {
    if (event.stop_reason.type !== "requires_action") {
      console.log("over:", event.stop_reason.type);
      break;
    }
    // Of calls that were made at once, those that are answered may be told again with the rest.
    const results = [];
    for (const waiting of event.stop_reason.event_ids) {
      const article = calls.get(waiting);
      if (article !== undefined && calls.delete(waiting)) results.push(answer(waiting, article));
    }
    if (results.length > 0) await client.beta.sessions.events.send(session.id, { events: results });
  }
}

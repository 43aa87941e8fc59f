// The Messages API through the official SDK. Arguments: URL, key. What the model says is scripted by the test.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const ask = {
  model: "claude-test-1",
  max_tokens: 1000,
  messages: [{ role: "user", content: "How is the weather in Bern?" }],
  tools: [{ name: "weather", input_schema: { type: "object" } }],
};

// A stream with thinking, text and a call, by the helper that folds it.
const texts = [];
const stream = client.messages.stream(ask).on("text", (text) => texts.push(text));
const message = await stream.finalMessage();
assert.equal(texts.join(""), "I look it up: “naïve” \u{1f980}.");
const [thinking, text, call] = message.content;
assert.ok(thinking.signature && text.text);
assert.deepEqual(call.input, { city: "Bern", days: 2 });
assert.equal(message.stop_reason, "tool_use");
assert.ok(message.usage.input_tokens > 10 && message.usage.output_tokens > 10);

// The conversation goes on, without the helper.
ask.messages.push(
  { role: "assistant", content: message.content },
  { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] },
);
let said = "";
for await (const event of await client.messages.create({ ...ask, stream: true })) {
  if (event.type === "content_block_delta") said += event.delta.text;
}
assert.equal(said, "Sunny.");

const whole = await client.messages.create(ask);
assert.equal(whole.content[0].text, "Not streamed.");
assert.ok(whole._request_id.startsWith("req_"));
const patient = new Anthropic({ baseURL, apiKey, maxRetries: 3 });
assert.equal((await patient.messages.create(ask)).content[0].text, "After two retries.");

await assert.rejects(client.messages.create(ask), Anthropic.BadRequestError);
const drain = async () => {
  for await (const _ of await client.messages.create({ ...ask, stream: true }));
};
await assert.rejects(drain());
await assert.rejects(drain(), /overloaded_error/);
const counted = await client.messages.countTokens({ model: ask.model, messages: ask.messages });
assert.ok(counted.input_tokens > 10);
console.log("done");

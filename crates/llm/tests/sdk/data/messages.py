"""The Messages API through the official SDK. Arguments: URL, key. What the model says is scripted by the test."""

import sys

import anthropic

url, key = sys.argv[1:3]
client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
ask = dict(
    model="claude-test-1",
    max_tokens=1000,
    messages=[{"role": "user", "content": "How is the weather in Bern?"}],
    tools=[{"name": "weather", "input_schema": {"type": "object"}}],
)

# A stream with thinking, text and a call, by the helper that folds it.
texts, thoughts, inputs, kinds = [], [], [], []
with client.messages.stream(**ask) as stream:
    for event in stream:
        kinds.append(event.type)
        if event.type == "text":
            texts.append(event.text)
        elif event.type == "thinking":
            thoughts.append(event.thinking)
        elif event.type == "input_json":
            inputs.append(event.partial_json)
    message = stream.get_final_message()
assert "".join(texts) == "I look it up: “naïve” \U0001f980.", texts
assert "".join(thoughts) == "The weather, then.", thoughts
assert inputs[0] == "" and len(inputs) > 2, inputs
assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
thinking, text, call = message.content
assert thinking.type == "thinking" and thinking.signature
assert call.type == "tool_use" and call.input == {"city": "Bern", "days": 2}, call
assert message.stop_reason == "tool_use" and message.model == "claude-test-1"
assert message.usage.input_tokens > 10 and message.usage.output_tokens > 10, message.usage
assert message.usage.cache_creation.ephemeral_5m_input_tokens == 0

# The conversation goes on, without the helper.
ask["messages"] += [
    {"role": "assistant", "content": message.content},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
]
raw = list(client.messages.create(**ask, stream=True))
assert [event.type for event in raw if event.type.startswith("message")] == ["message_start", "message_delta", "message_stop"]
assert "".join(event.delta.text for event in raw if event.type == "content_block_delta") == "Sunny."

# Without a stream.
whole = client.messages.create(**ask)
assert whole.content[0].text == "Not streamed." and whole.stop_reason == "end_turn"
assert whole._request_id.startswith("req_")

# The SDK waits and asks again, for 429 and 529.
assert client.with_options(max_retries=3).messages.create(**ask).content[0].text == "After two retries."


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert type(error) is kind or kind is anthropic.APIStatusError, type(error)
        return error
    raise AssertionError(f"not refused with {kind.__name__}")


error = refused(anthropic.BadRequestError, lambda: client.messages.create(**ask))
assert error.body["error"]["type"] == "invalid_request_error" and error.request_id.startswith("req_"), error.body


def drain():
    for _ in client.messages.create(**ask, stream=True):
        pass


try:
    drain()
    raise AssertionError("a stream that was cut was taken to be whole")
except Exception as error:
    assert "Error" in type(error).__name__ and not isinstance(error, AssertionError), error
error = refused(anthropic.APIStatusError, drain)
assert error.body["error"]["type"] == "overloaded_error", error.body

refused(anthropic.AuthenticationError, lambda: anthropic.Anthropic(base_url=url, api_key="wrong", max_retries=0).messages.create(**ask))
refused(anthropic.NotFoundError, lambda: client.messages.create(**{**ask, "model": "claude-none"}))
wrong = {**ask, "messages": ask["messages"][:2] + [{"role": "user", "content": "no result"}]}
assert "tool_result" in str(refused(anthropic.BadRequestError, lambda: client.messages.create(**wrong)))

assert client.messages.count_tokens(model="claude-test-1", messages=ask["messages"]).input_tokens > 10
assert [model.id for model in client.models.list()] == ["claude-test-1"]
print("done")

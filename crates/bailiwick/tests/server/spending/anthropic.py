import sys

import anthropic

url, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=5)
asked = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Say something."}]}

with client.messages.stream(max_tokens=100, **asked) as stream:
    assert "".join(stream.text_stream) == "Something."
    final = stream.get_final_message()
assert final.usage.output_tokens > 0

try:
    with client.messages.stream(max_tokens=50_000, **asked) as stream:
        stream.get_final_message()
    raise SystemExit("the budget was not reached")
except anthropic.APIStatusError as error:
    assert error.status_code == 402, error
    assert error.body["error"]["type"] == "billing_error", error.body
    assert error.body["error"]["code"] == "token_cost_limit_exceeded", error.body

try:
    client.post("/v1/complete", cast_to=object, body={})
    raise SystemExit("a path that is not there")
except anthropic.NotFoundError as error:
    assert error.body["error"]["type"] == "not_found_error", error.body
print("done")

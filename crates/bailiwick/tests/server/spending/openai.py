import sys

import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key=key, max_retries=5)
messages = [{"role": "user", "content": "Say something."}]

chunks = list(client.chat.completions.create(model="gpt-5", max_completion_tokens=100, messages=messages, stream=True))
assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Something.", chunks
with client.responses.stream(model="gpt-5", max_output_tokens=100, input="Say something.") as stream:
    deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
assert deltas == "Something."
assert [m.id for m in client.models.list()] == ["gpt-5"], client.models.list()

try:
    client.chat.completions.create(model="gpt-5", max_completion_tokens=50_000, messages=messages, stream=True)
    raise SystemExit("the budget was not reached")
except openai.APIStatusError as error:
    assert error.status_code == 402, error
    assert error.code == "token_cost_limit_exceeded", error.body
    assert error.body["limit"]["window"] == "24h", error.body

try:
    client.post("/images/generations", cast_to=object, body={})
    raise SystemExit("a path that is not there")
except openai.NotFoundError as error:
    assert error.code == "unknown_url", error.body
print("done")

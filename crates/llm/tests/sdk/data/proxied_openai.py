import sys

import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="virtual-key", max_retries=0)


def ask(model="gpt-test-1", **more):
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say something."}], **more
    )


# A stream without and with usage.
chunks = list(ask(stream=True))
assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello “naïve” \U0001f980.", chunks
assert all(c.choices for c in chunks), "the chunk that only the proxy asked for"
chunks = list(ask(stream=True, stream_options={"include_usage": True}))
assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0, chunks[-1]

whole = ask()
assert whole.choices[0].message.content == "Hello “naïve” \U0001f980."
assert whole.usage.total_tokens > 0

response = client.responses.create(model="gpt-test-1", input="Hello.")
assert response.output_text == "Hello “naïve” \U0001f980."
assert response.usage.total_tokens > 0
with client.responses.stream(model="gpt-test-1", input="Hello.") as stream:
    deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
    final = stream.get_final_response()
assert deltas == final.output_text == "Hello “naïve” \U0001f980."

vectors = client.embeddings.create(model="gpt-test-1", input=["a", "b"])
assert [list(v.embedding) for v in vectors.data] == [[0.0] * 3] * 2
assert client.models.list().data == [] or client.models.list().data[0].id

# The proxy's own refusals are the exceptions that the provider's would be.
refusals = {
    "limit": (openai.APIStatusError, 402, "token_cost_limit_exceeded"),
    "key": (openai.AuthenticationError, 401, "invalid_api_key"),
    "forbidden": (openai.PermissionDeniedError, 403, "permission_denied"),
    "model": (openai.NotFoundError, 404, "model_not_found"),
    "large": (openai.APIStatusError, 413, "request_too_large"),
    "busy": (openai.RateLimitError, 429, "rate_limit_exceeded"),
    "undecided": (openai.InternalServerError, 503, "limits_unavailable"),
    "unreachable": (openai.InternalServerError, 502, "upstream_unreachable"),
    "denied": (openai.InternalServerError, 502, "upstream_denied"),
    "late": (openai.InternalServerError, 504, "upstream_timeout"),
}
for reason, (kind, status, code) in refusals.items():
    try:
        ask(model=f"refused:{reason}")
        raise SystemExit(f"{reason} was not refused")
    except kind as error:
        assert error.status_code == status, error
        assert error.code == code, (error.code, error.body)
        assert error.message, error

# A limit that is reached is never tried again, however often the SDK would.
eager = client.with_options(max_retries=5)
try:
    eager.chat.completions.create(model="refused:limit", messages=[])
except openai.APIStatusError as error:
    assert error.response.headers["x-should-retry"] == "false"
    assert error.body["limit"]["limit"] == "team payments"
    assert "$0.001500" in error.message, error.message

# An upstream's own error.
try:
    client.chat.completions.create(model="gpt-test-1", messages=[])
    raise SystemExit("no error")
except openai.BadRequestError as error:
    assert "too short" in error.message
print("done")

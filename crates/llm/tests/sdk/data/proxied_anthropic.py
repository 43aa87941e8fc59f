import sys

import anthropic

url, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=url, api_key="virtual-key", max_retries=0)
TEXT = "Hello “naïve” \U0001f980."


def ask(model="claude-test-1", **more):
    return client.messages.create(
        model=model, max_tokens=100, messages=[{"role": "user", "content": "Say something."}], **more
    )


with client.messages.stream(
    model="claude-test-1", max_tokens=100, messages=[{"role": "user", "content": "Say something."}]
) as stream:
    assert "".join(stream.text_stream) == TEXT
    final = stream.get_final_message()
assert final.usage.output_tokens > 1 and final.usage.input_tokens > 0

whole = ask()
assert whole.content[0].text == TEXT
beta = client.beta.messages.create(
    model="claude-test-1",
    max_tokens=100,
    messages=[{"role": "user", "content": "a"}],
    betas=["context-management-2025-06-27"],
)
assert beta.content[0].text == TEXT
counted = client.messages.count_tokens(model="claude-test-1", messages=[{"role": "user", "content": "a"}])
assert counted.input_tokens > 0
list(client.models.list())

refusals = {
    "limit": (anthropic.APIStatusError, 402, "billing_error", "token_cost_limit_exceeded"),
    "key": (anthropic.AuthenticationError, 401, "authentication_error", "invalid_api_key"),
    "forbidden": (anthropic.PermissionDeniedError, 403, "permission_error", "permission_denied"),
    "model": (anthropic.NotFoundError, 404, "not_found_error", "model_not_found"),
    "large": (anthropic.APIStatusError, 413, "request_too_large", "request_too_large"),
    "busy": (anthropic.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    "undecided": (anthropic.APIStatusError, 503, "api_error", "limits_unavailable"),
    "unreachable": (anthropic.APIStatusError, 502, "api_error", "upstream_unreachable"),
    "denied": (anthropic.APIStatusError, 502, "api_error", "upstream_denied"),
    "late": (anthropic.APIStatusError, 504, "timeout_error", "upstream_timeout"),
}
for reason, (kind, status, word, code) in refusals.items():
    try:
        ask(model=f"refused:{reason}")
        raise SystemExit(f"{reason} was not refused")
    except kind as error:
        assert error.status_code == status, error
        assert error.body["type"] == "error", error.body
        assert error.body["error"]["type"] == word, error.body
        assert error.body["error"]["code"] == code, error.body
        assert error.message, error

eager = client.with_options(max_retries=5)
try:
    eager.messages.create(model="refused:limit", max_tokens=1, messages=[])
except anthropic.APIStatusError as error:
    assert error.response.headers["x-should-retry"] == "false"
    assert error.body["error"]["limit"]["window"] == "24h"

try:
    client.messages.create(model="claude-test-1", max_tokens=1, messages=[])
    raise SystemExit("no error")
except anthropic.BadRequestError as error:
    assert "at least one message" in error.message
print("done")

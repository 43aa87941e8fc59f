"""Environments through the official SDK: every operation, with what must succeed and what must fail. Arguments: URL, key."""

import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=1)
environments = client.beta.environments


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.response.headers["request-id"].startswith("req_"), error
        return error
    raise AssertionError(f"not refused with {kind.__name__}")


made = environments.create(
    name="node-test-env",
    config={
        "type": "cloud",
        "networking": {
            "type": "limited",
            "allowed_hosts": ["api.example.com"],
            "allow_package_managers": True,
            "allow_mcp_servers": True,
        },
        "packages": {"type": "packages", "npm": ["typescript", "tsx"], "pip": ["pytest==8.3.4"]},
    },
)
assert made.id.startswith("env_") and made.type == "environment" and made.archived_at is None
assert made.config.networking.allowed_hosts == ["api.example.com"]
assert made.config.packages.npm == ["typescript", "tsx"] and made.config.packages.apt == []

bare = environments.create(name="bare", metadata={"team": "a"})
assert bare.config.type == "cloud" and bare.config.networking.type == "unrestricted"
assert environments.retrieve(bare.id) == bare

changed = environments.update(bare.id, description="", metadata={"team": None, "owner": "me"})
assert changed.description == "" and changed.metadata == {"owner": "me"}
limited = environments.update(bare.id, config={"type": "cloud", "networking": {"type": "limited"}})
assert limited.config.networking.allowed_hosts == [] and limited.config.networking.allow_package_managers is False

assert {one.id for one in environments.list(limit=1)} >= {made.id, bare.id}
archived = environments.archive(bare.id)
assert archived.archived_at is not None
assert bare.id not in {one.id for one in environments.list()}
assert bare.id in {one.id for one in environments.list(include_archived=True)}
assert environments.delete(bare.id).type == "environment_deleted"

refused(anthropic.ConflictError, lambda: environments.create(name="Node-Test-Env"))
refused(anthropic.NotFoundError, lambda: environments.retrieve(bare.id))
refused(anthropic.BadRequestError, lambda: environments.create(name=""))
refused(anthropic.BadRequestError, lambda: environments.update(made.id, config={"type": "self_hosted"}))
refused(anthropic.BadRequestError, lambda: environments.create(name="x", metadata={"sandbox0.managed_agents.a": "1"}))
refused(
    anthropic.BadRequestError,
    lambda: environments.create(
        name="x", config={"type": "cloud", "networking": {"type": "limited"}, "packages": {"pip": ["pytest"]}}
    ),
)
stranger = anthropic.Anthropic(base_url=sys.argv[1], api_key="bwk_nobody", max_retries=0)
refused(anthropic.AuthenticationError, lambda: stranger.beta.environments.list())
print("done", anthropic.__version__)

"""Vaults and credentials of all three types through the official SDK, with what must succeed and what must fail. Arguments: URL, key."""

import sys

import anthropic

client = anthropic.Anthropic(
    base_url=sys.argv[1], api_key=sys.argv[2], max_retries=1, _strict_response_validation=True
)
vaults = client.beta.vaults
credentials = vaults.credentials


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"not refused with {kind.__name__}")


vault = vaults.create(display_name="Team", metadata={"team": "a", "x": "1"})
assert vault.id.startswith("vlt_") and vault.type == "vault" and vault.archived_at is None
assert vaults.retrieve(vault.id) == vault
changed = vaults.update(vault.id, display_name="Crew", metadata={"x": None})
assert changed.display_name == "Crew" and changed.metadata == {"team": "a"}
other = vaults.create(display_name="Other")
assert {one.id for one in vaults.list(limit=1)} == {vault.id, other.id}

bearer = credentials.create(
    vault.id,
    display_name="Git",
    auth={"type": "static_bearer", "mcp_server_url": "https://git.example.com/mcp", "token": "bearer-secret"},
)
oauth = credentials.create(
    vault.id,
    auth={
        "type": "mcp_oauth",
        "mcp_server_url": "https://mcp.example.com/mcp",
        "access_token": "access-secret",
        "refresh": {
            "client_id": "me",
            "refresh_token": "refresh-secret",
            "token_endpoint": "https://id.example.com/token",
            "token_endpoint_auth": {"type": "client_secret_basic", "client_secret": "client-secret"},
        },
    },
)
variable = credentials.create(
    vault.id,
    auth={
        "type": "environment_variable",
        "secret_name": "API_KEY",
        "secret_value": "value-secret",
        "networking": {"type": "limited", "allowed_hosts": ["api.example.com"]},
    },
)
made = [bearer, oauth, variable]
assert [one.auth.type for one in made] == ["static_bearer", "mcp_oauth", "environment_variable"]
assert oauth.auth.refresh.token_endpoint_auth.type == "client_secret_basic"
for one in made:
    assert one.type == "vault_credential" and one.vault_id == vault.id
    read = credentials.retrieve(one.id, vault_id=vault.id)
    assert read == one and "-secret" not in read.to_json(), read
assert {one.id for one in credentials.list(vault.id, limit=2)} == {one.id for one in made}

rotated = credentials.update(bearer.id, vault_id=vault.id, auth={"type": "static_bearer", "token": "new-secret"})
assert rotated.updated_at > bearer.updated_at and rotated.display_name == "Git"
refused(anthropic.ConflictError, lambda: credentials.create(vault.id, auth={**variable.auth.to_dict(), "secret_value": "x"}))
archived = credentials.archive(variable.id, vault_id=vault.id)
assert archived.archived_at and variable.id not in {one.id for one in credentials.list(vault.id)}
refused(anthropic.BadRequestError, lambda: credentials.update(variable.id, vault_id=vault.id, display_name="x"))
assert credentials.delete(oauth.id, vault_id=vault.id).type == "vault_credential_deleted"
refused(anthropic.NotFoundError, lambda: credentials.retrieve(oauth.id, vault_id=vault.id))
refused(anthropic.NotFoundError, lambda: credentials.retrieve(bearer.id, vault_id=other.id))

assert vaults.archive(vault.id).archived_at
assert vault.id not in {one.id for one in vaults.list()}
assert vault.id in {one.id for one in vaults.list(include_archived=True)}
refused(anthropic.BadRequestError, lambda: vaults.update(vault.id, display_name="x"))
assert vaults.delete(vault.id).type == "vault_deleted"
refused(anthropic.NotFoundError, lambda: vaults.retrieve(vault.id))
refused(anthropic.BadRequestError, lambda: vaults.create(display_name=""))
refused(anthropic.BadRequestError, lambda: vaults.list(limit=101))
print("done", anthropic.__version__)

"""Validation of OAuth credentials through the official SDK. Arguments: URL, key, URL of an authorization and MCP server."""

import sys

import anthropic

client = anthropic.Anthropic(
    base_url=sys.argv[1], api_key=sys.argv[2], max_retries=1, _strict_response_validation=True
)
credentials = client.beta.vaults.credentials
vault = client.beta.vaults.create(display_name="Team")


def oauth(path, token, refresh_token=None, endpoint="/token"):
    auth = {"type": "mcp_oauth", "mcp_server_url": sys.argv[3] + path, "access_token": token}
    if refresh_token:
        auth["refresh"] = {
            "client_id": "post",
            "refresh_token": refresh_token,
            "token_endpoint": sys.argv[3] + endpoint,
            "token_endpoint_auth": {"type": "client_secret_post", "client_secret": "s3cret/+ post"},
        }
    made = credentials.create(vault.id, auth=auth)
    found = credentials.mcp_oauth_validate(made.id, vault_id=vault.id)
    assert found.type == "vault_credential_validation" and found.vault_id == vault.id
    assert found.credential_id == made.id and found.has_refresh_token == bool(refresh_token)
    after = credentials.retrieve(made.id, vault_id=vault.id)
    credentials.archive(made.id, vault_id=vault.id)
    return found, after


found, _ = oauth("/mcp", "access-0")
assert found.status == "valid" and found.mcp_probe is None and found.refresh is None, found
found, after = oauth("/mcp", "access-old", "refresh-0")
assert found.status == "valid" and found.refresh.status == "succeeded", found
assert after.auth.expires_at > found.validated_at
found, _ = oauth("/mcp", "access-old")
assert found.status == "invalid" and found.refresh.status == "no_refresh_token", found
response = found.mcp_probe.http_response
assert found.mcp_probe.method == "initialize" and response.status_code == 401 and "access-old" not in response.body
found, _ = oauth("/mcp", "access-old", "refresh-0")
assert found.status == "invalid" and found.refresh.status == "failed", found
assert found.refresh.http_response.status_code == 400 and not found.refresh.http_response.body_truncated
found, _ = oauth("/mcp/forbidden", "access-1")
assert found.status == "invalid" and found.refresh is None, found
found, _ = oauth("/mcp/away?http://169.254.169.254/", "access-1")
assert found.status == "unknown" and found.mcp_probe.http_response.status_code == 307, found
print("done", anthropic.__version__)

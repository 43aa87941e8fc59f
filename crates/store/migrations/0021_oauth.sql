-- What people let programs do with MCP gateways. A program itself is nowhere: its id holds what it said of itself.
CREATE TABLE oauth_grant (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    user_id {id} NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    -- The one gateway that its tokens open, with which they go, and the address of it that the program named.
    gateway_id {id} NOT NULL REFERENCES mcp_gateway (id) ON DELETE CASCADE,
    resource TEXT NOT NULL,
    -- SHA-256 of the program's id, and how it calls itself.
    client_hash {bytes} NOT NULL,
    client_name TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    -- SHA-256 of the code; what proves who may exchange it (RFC 7636), until when, and whether somebody did.
    code_hash {bytes} NOT NULL UNIQUE,
    code_challenge TEXT NOT NULL,
    code_expires_at BIGINT NOT NULL,
    code_used_at BIGINT,
    -- SHA-256 of what all its refresh tokens begin with, and of the one that may be exchanged: another one of the family was stolen.
    family_hash {bytes} UNIQUE,
    refresh_hash {bytes},
    refresh_expires_at BIGINT,
    access_hash {bytes} UNIQUE,
    access_expires_at BIGINT,
    created_at BIGINT NOT NULL,
    refreshed_at BIGINT,
    expires_at BIGINT NOT NULL
);

CREATE INDEX oauth_grant_user ON oauth_grant (organization_id, user_id, id);
CREATE INDEX oauth_grant_gateway ON oauth_grant (gateway_id);
CREATE INDEX oauth_grant_client ON oauth_grant (client_hash);

-- Credentials of MCP servers that people are about to get there.
CREATE TABLE mcp_connection (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    user_id {id} NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    vault_id {id} NOT NULL REFERENCES vault (id) ON DELETE CASCADE,
    mcp_url TEXT NOT NULL,
    -- SHA-256 of what comes back with the answer, which is taken once.
    state_hash {bytes} NOT NULL UNIQUE,
    -- What is needed to finish, sealed.
    sealed_key TEXT NOT NULL,
    sealed {bytes} NOT NULL,
    -- SHA-256 of what the page showed that the answer came to, and how often something else was said to be it.
    confirmation_hash {bytes},
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX mcp_connection_user ON mcp_connection (organization_id, user_id, id);
CREATE INDEX mcp_connection_vault ON mcp_connection (vault_id);

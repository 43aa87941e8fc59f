CREATE TABLE vault (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    display_name TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);

CREATE INDEX vault_age ON vault (organization_id, id);

CREATE TABLE credential (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    vault_id {id} NOT NULL REFERENCES vault (id) ON DELETE CASCADE,
    display_name TEXT,
    -- As the wire writes it, without secrets.
    auth TEXT NOT NULL,
    -- SHA-256 of what it is for: an MCP server's URL is longer than what an index takes.
    target {bytes} NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);

CREATE UNIQUE INDEX credential_target ON credential (vault_id, target) WHERE archived_at IS NULL;
CREATE INDEX credential_age ON credential (organization_id, vault_id, id);

CREATE TABLE credential_secret (
    organization_id {id} NOT NULL REFERENCES organization (id),
    credential_id {id} NOT NULL REFERENCES credential (id) ON DELETE CASCADE,
    -- Which of the credential's secrets.
    name {id} NOT NULL,
    -- The key that it is sealed with; the key itself is nowhere in the database.
    sealing_key {id} NOT NULL,
    sealed {bytes} NOT NULL,
    PRIMARY KEY (credential_id, name)
);

-- For the search of what is sealed with a key.
CREATE INDEX credential_secret_key ON credential_secret (sealing_key, organization_id, credential_id, name);

-- The private registry: MCP servers, each in one environment.
CREATE TABLE mcp_catalog_entry (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- Where it is, or how it is run, as JSON.
    config TEXT NOT NULL,
    -- Whose credential for the server's URL is used.
    vault_id {id} REFERENCES vault (id),
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (environment_id, name_key),
    -- What an assignment refers to.
    UNIQUE (id, environment_id)
);

CREATE INDEX mcp_catalog_entry_order ON mcp_catalog_entry (organization_id, id);
CREATE INDEX mcp_catalog_entry_vault ON mcp_catalog_entry (vault_id);

-- Doors of environments to what of the catalog is in them.
CREATE TABLE mcp_gateway (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- Which servers, and what is said to who comes, as JSON.
    config TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, name_key),
    UNIQUE (id, environment_id)
);

CREATE INDEX mcp_gateway_environment ON mcp_gateway (organization_id, environment_id);

-- Which servers a gateway has that names them. Both are in one environment, and the database itself takes nothing else: neither can be moved
-- while it is assigned.
CREATE TABLE mcp_assignment (
    organization_id {id} NOT NULL REFERENCES organization (id),
    gateway_id {id} NOT NULL,
    entry_id {id} NOT NULL,
    environment_id {id} NOT NULL,
    -- The names of its tools, as JSON; all of them if it is empty.
    tools TEXT NOT NULL,
    PRIMARY KEY (gateway_id, entry_id),
    FOREIGN KEY (gateway_id, environment_id) REFERENCES mcp_gateway (id, environment_id) ON DELETE CASCADE,
    FOREIGN KEY (entry_id, environment_id) REFERENCES mcp_catalog_entry (id, environment_id) ON DELETE CASCADE
);

CREATE INDEX mcp_assignment_entry ON mcp_assignment (entry_id);

-- A virtual key opens one proxy or one gateway, and nothing else.
ALTER TABLE api_key ADD COLUMN mcp_gateway_id {id} REFERENCES mcp_gateway (id) ON DELETE CASCADE;
CREATE INDEX api_key_mcp_gateway ON api_key (mcp_gateway_id);

-- The predefined roles of organizations that are there already.
UPDATE role SET permissions = REPLACE(permissions, ']', ',"mcp-catalog:read","mcp-gateway:read","mcp-gateway:use"]') WHERE predefined = 1;
UPDATE role SET permissions = REPLACE(permissions, ']', ',"mcp-catalog:write","mcp-gateway:write"]') WHERE predefined = 1 AND name_key IN ('admin', 'editor');

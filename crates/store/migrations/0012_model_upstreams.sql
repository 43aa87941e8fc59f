-- Servers that answer for an organization's models.
CREATE TABLE model_upstream (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- The lowest is asked first; of two, the older one.
    priority BIGINT NOT NULL,
    -- Where it is, what it speaks and which models it has, as JSON.
    config TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, name_key)
);

CREATE INDEX model_upstream_order ON model_upstream (organization_id, priority, id);

-- What an upstream knows the organization by.
CREATE TABLE model_upstream_secret (
    organization_id {id} NOT NULL REFERENCES organization (id),
    upstream_id {id} PRIMARY KEY REFERENCES model_upstream (id) ON DELETE CASCADE,
    sealing_key {id} NOT NULL,
    sealed {bytes} NOT NULL
);

-- For the search of what is sealed with a key.
CREATE INDEX model_upstream_secret_key ON model_upstream_secret (sealing_key, organization_id, upstream_id);

-- The predefined roles of organizations that are there already.
UPDATE role SET permissions = REPLACE(permissions, ']', ',"model-upstream:read"]') WHERE predefined = 1;
UPDATE role SET permissions = REPLACE(permissions, ']', ',"model-upstream:admin"]') WHERE predefined = 1 AND name_key = 'admin';

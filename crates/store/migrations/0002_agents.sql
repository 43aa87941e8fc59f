CREATE TABLE agent (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- Where it was placed; none is placed by its sessions.
    environment_id {id} REFERENCES environment (id),
    -- The newest of its versions.
    version BIGINT NOT NULL,
    -- Counts every change, those that make no version too.
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);

CREATE INDEX agent_age ON agent (organization_id, id);
CREATE INDEX agent_place ON agent (environment_id) WHERE environment_id IS NOT NULL;

-- Written once and never changed.
CREATE TABLE agent_version (
    agent_id {id} NOT NULL REFERENCES agent (id),
    number BIGINT NOT NULL,
    organization_id {id} NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    -- As the wire writes it, every default resolved.
    config TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id, number)
);

-- The other agents that a version delegates to.
CREATE TABLE agent_delegate (
    agent_id {id} NOT NULL,
    number BIGINT NOT NULL,
    delegate_id {id} NOT NULL REFERENCES agent (id),
    PRIMARY KEY (agent_id, number, delegate_id),
    FOREIGN KEY (agent_id, number) REFERENCES agent_version (agent_id, number)
);

CREATE INDEX agent_delegate_of ON agent_delegate (delegate_id);

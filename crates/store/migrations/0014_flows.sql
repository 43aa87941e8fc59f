-- The number of the last flow.
ALTER TABLE organization ADD COLUMN flow_sequence BIGINT NOT NULL DEFAULT 0;

-- What sandboxes of sessions tried to reach. They stay when their session or environment goes.
CREATE TABLE flow (
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- From 1, in the order in which they were written.
    sequence BIGINT NOT NULL,
    session_id {id} NOT NULL,
    environment_id {id} NOT NULL,
    verdict TEXT NOT NULL,
    -- When it was written.
    kept_at BIGINT NOT NULL,
    -- As JSON.
    flow TEXT NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);

CREATE INDEX flow_session ON flow (session_id, sequence);
CREATE INDEX flow_environment ON flow (environment_id, sequence);

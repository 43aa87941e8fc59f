-- For what refers to an environment.
CREATE INDEX api_key_environment ON api_key (environment_id) WHERE environment_id IS NOT NULL;

-- How many days each is kept; none is for ever.
ALTER TABLE organization ADD COLUMN events_days BIGINT;
ALTER TABLE organization ADD COLUMN flows_days BIGINT;
ALTER TABLE organization ADD COLUMN audit_days BIGINT;

-- The last entry of the audit log that was taken away, and its hash: where the chain that is left begins. 0 and none before there was any.
ALTER TABLE organization ADD COLUMN audit_anchor_sequence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organization ADD COLUMN audit_anchor_hash {bytes};

-- What of an organization's records was delivered to a destination.
CREATE TABLE export_cursor (
    organization_id {id} NOT NULL REFERENCES organization (id),
    destination {id} NOT NULL,
    -- The number of the last one that was.
    sequence BIGINT NOT NULL,
    PRIMARY KEY (destination, organization_id)
);

-- What one of several servers does at a time: whose it is, until when.
CREATE TABLE lease (
    name {id} PRIMARY KEY,
    holder {id} NOT NULL,
    expires_at BIGINT NOT NULL
);

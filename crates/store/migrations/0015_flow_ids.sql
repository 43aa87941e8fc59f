-- Given before a flow is written for the first time, so that one that is written again is not there twice. Flows of before have none.
ALTER TABLE flow ADD COLUMN id {id};

CREATE UNIQUE INDEX flow_id ON flow (organization_id, id);

-- They are looked for among many that are allowed.
CREATE INDEX flow_denied ON flow (organization_id, sequence) WHERE verdict = 'deny';

-- Thresholds of limits that were passed, each told once in a window: what is exported, and shown. It refers to no limit, which may be taken away.
CREATE TABLE limit_alert (
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- From 1 on, in the order in which they were passed.
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    limit_id {id} NOT NULL,
    -- Of a limit for each user, which; else empty.
    user_id {id} NOT NULL,
    percent BIGINT NOT NULL,
    -- The limit as it was then, and what was spent, as JSON.
    alert TEXT NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);

CREATE INDEX limit_alert_account ON limit_alert (limit_id, user_id, at);

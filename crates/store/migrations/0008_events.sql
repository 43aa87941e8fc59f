-- The number of the last event of a session, and its time: each has its own.
ALTER TABLE session ADD COLUMN event_sequence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN event_at BIGINT NOT NULL DEFAULT 0;

-- What it has used, all threads together.
ALTER TABLE session ADD COLUMN input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN output_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cache_read_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cache_5m_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cache_1h_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN web_searches BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN web_fetches BIGINT NOT NULL DEFAULT 0;
-- In billionths of a dollar, at list prices.
ALTER TABLE session ADD COLUMN list_cost_nanos BIGINT NOT NULL DEFAULT 0;
-- How long it was at work, and since when it is.
ALTER TABLE session ADD COLUMN active_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN running_since BIGINT;

-- Who runs it, until when. The number grows with each one that does, so that what comes late from the one before is refused.
ALTER TABLE session ADD COLUMN runner {id};
ALTER TABLE session ADD COLUMN runner_number BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN runner_until BIGINT;

CREATE INDEX session_to_run ON session (runner_until) WHERE status IN ('running', 'rescheduling');

CREATE TABLE session_thread (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    session_id {id} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    -- None of the primary one.
    parent_id {id} REFERENCES session_thread (id) ON DELETE CASCADE,
    -- As the wire shows it; the primary one's is its session's.
    agent TEXT,
    status TEXT NOT NULL,
    -- A JSON list: the calls of tools that it waits for.
    awaits TEXT NOT NULL,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    cache_read_tokens BIGINT NOT NULL DEFAULT 0,
    cache_5m_tokens BIGINT NOT NULL DEFAULT 0,
    cache_1h_tokens BIGINT NOT NULL DEFAULT 0,
    web_searches BIGINT NOT NULL DEFAULT 0,
    web_fetches BIGINT NOT NULL DEFAULT 0,
    list_cost_nanos BIGINT NOT NULL DEFAULT 0,
    active_micros BIGINT NOT NULL DEFAULT 0,
    running_since BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);

CREATE INDEX session_thread_age ON session_thread (session_id, id);

-- Every session has its primary thread, which is named after it.
INSERT INTO session_thread (id, organization_id, session_id, status, awaits, created_at, updated_at, archived_at)
    SELECT 'sthr_' || substr(id, 6), organization_id, id, status, '[]', created_at, updated_at, archived_at FROM session;

CREATE TABLE session_event (
    session_id {id} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    -- From 1, in the order of commits: taken under the lock of the session's row.
    sequence BIGINT NOT NULL,
    organization_id {id} NOT NULL REFERENCES organization (id),
    id {id} NOT NULL,
    thread_id {id} NOT NULL REFERENCES session_thread (id) ON DELETE CASCADE,
    -- Whether the session's own list has it too.
    in_session BIGINT NOT NULL,
    type TEXT NOT NULL,
    -- A JSON object: what the wire shows besides id, type and time.
    body TEXT NOT NULL,
    body_bytes BIGINT NOT NULL,
    -- The call of a tool that it confirms or answers.
    answers {id},
    answer TEXT,
    created_at BIGINT NOT NULL,
    processed_at BIGINT,
    PRIMARY KEY (session_id, sequence)
);

CREATE UNIQUE INDEX session_event_id ON session_event (session_id, id);
-- Nothing is answered twice.
CREATE UNIQUE INDEX session_event_answer ON session_event (session_id, answers, answer) WHERE answers IS NOT NULL;
CREATE INDEX session_event_queued ON session_event (session_id, sequence) WHERE processed_at IS NULL;
CREATE INDEX session_event_age ON session_event (organization_id, created_at);

CREATE TABLE session (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id),
    -- What holds in it, whatever becomes of the environment.
    environment_revision BIGINT NOT NULL,
    -- The egress policy that was in force when it was made, as the wire writes networking, and its source; none where the environment has none.
    policy TEXT,
    agent_id {id} NOT NULL REFERENCES agent (id),
    agent_version BIGINT NOT NULL,
    -- As the wire shows it, with all that it may delegate to.
    agent TEXT NOT NULL,
    status TEXT NOT NULL,
    title TEXT,
    metadata TEXT NOT NULL,
    -- A JSON list, in the order in which they are searched.
    vault_ids TEXT NOT NULL,
    -- As the wire writes it.
    budget TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT,
    FOREIGN KEY (environment_id, environment_revision) REFERENCES environment_revision (environment_id, number),
    FOREIGN KEY (agent_id, agent_version) REFERENCES agent_version (agent_id, number)
);

CREATE INDEX session_age ON session (organization_id, id);
CREATE INDEX session_environment ON session (environment_id, id);
CREATE INDEX session_agent ON session (agent_id, id);

-- The vaults of sessions that are not archived: such a vault cannot be deleted.
CREATE TABLE session_vault (
    organization_id {id} NOT NULL REFERENCES organization (id),
    session_id {id} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    vault_id {id} NOT NULL REFERENCES vault (id),
    PRIMARY KEY (session_id, vault_id)
);

CREATE INDEX session_vault_of ON session_vault (vault_id);

CREATE TABLE session_resource (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    session_id {id} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    -- In the order in which the session got them.
    position BIGINT NOT NULL,
    mount_path TEXT NOT NULL,
    -- A file: the session's own copy.
    file_id {id} REFERENCES file (id),
    -- Or a repository.
    repository_url TEXT,
    -- As the wire writes it: a branch, a commit, or the default branch.
    repository_checkout TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX session_resource_age ON session_resource (organization_id, session_id, position);
CREATE INDEX session_resource_file ON session_resource (file_id) WHERE file_id IS NOT NULL;

CREATE TABLE session_resource_secret (
    organization_id {id} NOT NULL REFERENCES organization (id),
    resource_id {id} PRIMARY KEY REFERENCES session_resource (id) ON DELETE CASCADE,
    -- As in credential_secret.
    sealing_key {id} NOT NULL,
    sealed {bytes} NOT NULL
);

CREATE INDEX session_resource_secret_key ON session_resource_secret (sealing_key, organization_id, resource_id);

-- What workers of self-hosted environments do. It outlives its session, so that a worker learns that it has ended.
CREATE TABLE work (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    session_id {id} NOT NULL,
    state TEXT NOT NULL,
    metadata TEXT NOT NULL,
    -- When it came to the queue, the last time.
    queued_at BIGINT NOT NULL,
    -- When it was handed to a worker that has not acknowledged it yet.
    handed_at BIGINT,
    acknowledged_at BIGINT,
    started_at BIGINT,
    latest_heartbeat_at BIGINT,
    lease_seconds BIGINT NOT NULL,
    -- From then on it is nobody's; while it is starting, active or stopping.
    lease_ends_at BIGINT,
    stop_requested_at BIGINT,
    stopped_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX work_live ON work (session_id) WHERE state <> 'stopped';
CREATE INDEX work_age ON work (organization_id, environment_id, id);
CREATE INDEX work_queue ON work (environment_id, id) WHERE state <> 'stopped';

-- What an item's workers authenticate with, each time that it was handed out.
CREATE TABLE work_token (
    -- SHA-256.
    hash {bytes} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    work_id {id} NOT NULL REFERENCES work (id) ON DELETE CASCADE,
    -- With which key the worker polled: the token is taken as long as that is.
    key_id {id} REFERENCES api_key (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL
);

CREATE INDEX work_token_of ON work_token (work_id, created_at);
CREATE INDEX work_token_key ON work_token (key_id);

CREATE TABLE work_poller (
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    -- What the worker calls itself.
    worker TEXT NOT NULL,
    polled_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id, worker)
);

CREATE TABLE team (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (organization_id, name_key)
);

CREATE TABLE team_member (
    organization_id {id} NOT NULL,
    team_id {id} NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    user_id {id} NOT NULL,
    PRIMARY KEY (team_id, user_id),
    FOREIGN KEY (organization_id, user_id) REFERENCES member (organization_id, user_id) ON DELETE CASCADE
);

-- The right to deploy to one restricted environment: of one member or of one team.
CREATE TABLE deploy_grant (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    user_id {id},
    team_id {id} REFERENCES team (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    UNIQUE (environment_id, user_id, team_id),
    FOREIGN KEY (organization_id, user_id) REFERENCES member (organization_id, user_id) ON DELETE CASCADE
);

CREATE TABLE browser_session (
    -- SHA-256 of the cookie's value.
    hash {bytes} PRIMARY KEY,
    organization_id {id} NOT NULL,
    user_id {id} NOT NULL,
    -- SHA-256 of what requests that change something must carry.
    csrf_hash {bytes} NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (organization_id, user_id) REFERENCES member (organization_id, user_id) ON DELETE CASCADE
);

CREATE INDEX browser_session_end ON browser_session (expires_at);

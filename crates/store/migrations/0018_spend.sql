-- Where the organization's days begin: a name of the IANA time zone database, UTC if there is none.
ALTER TABLE organization ADD COLUMN time_zone TEXT;
-- What models cost there, where it is not what the table says, as JSON.
ALTER TABLE organization ADD COLUMN model_prices TEXT;
-- Counts the changes of its limits, its prices and its time zone: what was compiled of them is of one number.
ALTER TABLE organization ADD COLUMN limits_version BIGINT NOT NULL DEFAULT 0;

-- Doors of environments to the organization's model upstreams.
CREATE TABLE llm_proxy (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    environment_id {id} NOT NULL REFERENCES environment (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- Which models, as JSON.
    config TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, name_key)
);

CREATE INDEX llm_proxy_environment ON llm_proxy (organization_id, environment_id);

-- A virtual key opens one proxy, and nothing else. What is spent with it counts for a user, for an agent, for both or for neither.
ALTER TABLE api_key ADD COLUMN llm_proxy_id {id} REFERENCES llm_proxy (id) ON DELETE CASCADE;
ALTER TABLE api_key ADD COLUMN spender_user_id {id} REFERENCES user_account (id);
ALTER TABLE api_key ADD COLUMN spender_agent_id {id} REFERENCES agent (id);
CREATE INDEX api_key_llm_proxy ON api_key (llm_proxy_id);

-- Whose session it is, for what is spent in it.
ALTER TABLE session ADD COLUMN created_by {id};

-- What may be spent, by whom, in which time.
CREATE TABLE spend_limit (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- Whom it is for, as JSON; the environment that it counts for alone is the one that is named here, or is in here too.
    entity TEXT NOT NULL,
    entity_id {id},
    environment_id {id} REFERENCES environment (id),
    -- How much, in which window, as JSON.
    config TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX spend_limit_order ON spend_limit (organization_id, id);
CREATE INDEX spend_limit_environment ON spend_limit (organization_id, environment_id);

-- Held by whoever leases or counts: what was read under it is so until it is committed.
CREATE TABLE spend_ledger (
    organization_id {id} PRIMARY KEY REFERENCES organization (id)
);
INSERT INTO spend_ledger (organization_id) SELECT id FROM organization;

-- What was spent of an account in one part of its window. An account is a limit, or a limit and a user.
CREATE TABLE spend_bucket (
    organization_id {id} NOT NULL REFERENCES organization (id),
    limit_id {id} NOT NULL REFERENCES spend_limit (id) ON DELETE CASCADE,
    -- Of a limit for each user, which; else empty.
    user_id {id} NOT NULL,
    starts_at BIGINT NOT NULL,
    spent BIGINT NOT NULL,
    PRIMARY KEY (limit_id, user_id, starts_at)
);

-- What a server has taken of an account, to spend it.
CREATE TABLE spend_lease (
    organization_id {id} NOT NULL REFERENCES organization (id),
    limit_id {id} NOT NULL REFERENCES spend_limit (id) ON DELETE CASCADE,
    user_id {id} NOT NULL,
    holder TEXT NOT NULL,
    amount BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- The bucket that it was counted in when its holder did not come back.
    charged_in BIGINT,
    PRIMARY KEY (limit_id, user_id, holder)
);

CREATE INDEX spend_lease_holder ON spend_lease (holder);
CREATE INDEX spend_lease_end ON spend_lease (expires_at);

-- A request to a model, as it was when it was made: it refers to nothing. Its id sorts by that moment.
CREATE TABLE usage_record (
    id {id} NOT NULL,
    organization_id {id} NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    environment_id {id} NOT NULL,
    agent_id {id},
    user_id {id},
    -- The user's teams, each with a comma before and after it.
    team_ids TEXT NOT NULL,
    key_id {id},
    llm_proxy_id {id},
    session_id {id},
    upstream_id {id},
    model TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_5m_tokens BIGINT NOT NULL,
    cache_1h_tokens BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    -- What a million of each costs, as JSON; empty if the model has no price.
    prices TEXT NOT NULL,
    -- Whether the cost is a guess, for want of a price.
    is_estimated BIGINT NOT NULL,
    status BIGINT,
    PRIMARY KEY (organization_id, id)
);

-- The predefined roles of organizations that are there already.
UPDATE role SET permissions = REPLACE(permissions, ']', ',"llm-proxy:read","llm-proxy:use","limit:read"]') WHERE predefined = 1;
UPDATE role SET permissions = REPLACE(permissions, ']', ',"llm-proxy:write","usage:read"]') WHERE predefined = 1 AND name_key IN ('admin', 'editor');
UPDATE role SET permissions = REPLACE(permissions, ']', ',"limit:admin"]') WHERE predefined = 1 AND name_key = 'admin';

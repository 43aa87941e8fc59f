-- Words in braces stand for what the two databases call differently: see `dialect`.
-- Times are microseconds since 1970. Ids sort by age, byte by byte.

CREATE TABLE organization (
    id {id} PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    -- The egress policy of environments that have none of their own, as the wire writes networking.
    default_networking TEXT,
    -- Denied hosts and CIDRs that hold in every environment.
    floor TEXT NOT NULL,
    -- The end of the audit log's chain.
    audit_sequence BIGINT NOT NULL,
    audit_hash {bytes} NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE user_account (
    id {id} PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- argon2id, as a PHC string; none where an identity provider signs in.
    password_hash TEXT,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE role (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    predefined BIGINT NOT NULL,
    -- A JSON list of `resource:verb`.
    permissions TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (organization_id, name_key)
);

CREATE TABLE member (
    organization_id {id} NOT NULL REFERENCES organization (id),
    user_id {id} NOT NULL REFERENCES user_account (id),
    role_id {id} NOT NULL REFERENCES role (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);

CREATE TABLE service_account (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    role_id {id} NOT NULL REFERENCES role (id),
    created_at BIGINT NOT NULL,
    UNIQUE (organization_id, name_key)
);

CREATE TABLE environment (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    description TEXT,
    is_default BIGINT NOT NULL,
    restricted BIGINT NOT NULL,
    -- A Kubernetes namespace.
    namespace TEXT,
    -- As the wire writes it, with the extensions; without networking the organization's default holds.
    config TEXT NOT NULL,
    metadata TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);

CREATE UNIQUE INDEX environment_name ON environment (organization_id, name_key) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX environment_default ON environment (organization_id) WHERE is_default = 1;
CREATE INDEX environment_age ON environment (organization_id, id);

CREATE TABLE environment_revision (
    environment_id {id} NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    config TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id, number)
);

CREATE TABLE api_key (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- Whose it is: exactly one of the three.
    user_id {id} REFERENCES user_account (id),
    service_account_id {id} REFERENCES service_account (id) ON DELETE CASCADE,
    environment_id {id} REFERENCES environment (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Its first characters, for people.
    shown TEXT NOT NULL,
    -- SHA-256: the key has the entropy that a password lacks.
    hash {bytes} NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX api_key_age ON api_key (organization_id, id);

CREATE TABLE audit_entry (
    organization_id {id} NOT NULL REFERENCES organization (id),
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    resource_kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    before_change TEXT,
    after_change TEXT,
    hash {bytes} NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);

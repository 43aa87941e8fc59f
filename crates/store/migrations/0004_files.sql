-- Bytes of any size, in chunks: uploads, what sessions leave behind, archives of skills. In the database, so that replicas and backups have them.
CREATE TABLE content (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- `arriving`, then `kept` while something refers to it, then `going`: swept, chunk by chunk.
    state TEXT NOT NULL,
    -- Of all its chunks.
    bytes BIGINT NOT NULL,
    -- When its last chunk arrived, or it was let go.
    touched_at BIGINT NOT NULL
);

CREATE INDEX content_loose ON content (touched_at) WHERE state <> 'kept';
CREATE INDEX content_size ON content (organization_id, bytes);

CREATE TABLE content_chunk (
    organization_id {id} NOT NULL REFERENCES organization (id),
    content_id {id} NOT NULL REFERENCES content (id),
    -- From 0.
    number BIGINT NOT NULL,
    bytes {bytes} NOT NULL,
    PRIMARY KEY (content_id, number)
);

CREATE TABLE file (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 {bytes} NOT NULL,
    downloadable BIGINT NOT NULL,
    -- The session that left it behind, or whose copy it is.
    session_id {id},
    -- None once it has expired and was swept.
    content_id {id} REFERENCES content (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE INDEX file_age ON file (organization_id, id);
CREATE INDEX file_session ON file (organization_id, session_id, id) WHERE session_id IS NOT NULL;
CREATE INDEX file_content ON file (content_id);
CREATE INDEX file_expiry ON file (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE skill (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    -- What its files call it, and the directory that they are in where it is used.
    name TEXT NOT NULL,
    -- What people call it.
    display_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, name)
);

CREATE INDEX skill_age ON skill (organization_id, id);

CREATE TABLE skill_version (
    id {id} PRIMARY KEY,
    organization_id {id} NOT NULL REFERENCES organization (id),
    skill_id {id} NOT NULL REFERENCES skill (id),
    description TEXT NOT NULL,
    -- Of its archive.
    size_bytes BIGINT NOT NULL,
    sha256 {bytes} NOT NULL,
    content_id {id} NOT NULL REFERENCES content (id),
    -- Names it too, for clients of before 2026: no two versions of a skill have the same.
    created_at BIGINT NOT NULL,
    UNIQUE (skill_id, created_at)
);

CREATE INDEX skill_version_age ON skill_version (organization_id, skill_id, id);
CREATE INDEX skill_version_content ON skill_version (content_id);

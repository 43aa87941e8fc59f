-- Whether secrets may go into bodies of requests.
ALTER TABLE organization ADD COLUMN allow_body_injection BIGINT NOT NULL DEFAULT 1;

-- An account belongs to one organization: its address is unique in there, and what another organization has of the same person is another
-- account with a password of its own.
ALTER TABLE user_account ADD COLUMN organization_id {id} REFERENCES organization (id);
-- The address as it is compared; none once its member was removed, so that somebody else may have it. `email_key` is unique over all
-- organizations: an account made from here on has its id there.
ALTER TABLE user_account ADD COLUMN address_key TEXT;
UPDATE user_account SET organization_id = (SELECT m.organization_id FROM member m WHERE m.user_id = user_account.id);
UPDATE user_account SET address_key = email_key WHERE organization_id IS NOT NULL;
CREATE UNIQUE INDEX user_account_address ON user_account (organization_id, address_key);
CREATE INDEX user_account_sign_in ON user_account (address_key);
CREATE UNIQUE INDEX member_account ON member (user_id);

-- Somebody as an identity provider knows them. Without an account they were a member that was removed, who does not come back by signing in.
CREATE TABLE identity (
    organization_id {id} NOT NULL REFERENCES organization (id),
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id {id} REFERENCES user_account (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, issuer, subject)
);

-- One subject of an issuer for each account: an address that a provider gives to somebody else does not give them the account.
CREATE UNIQUE INDEX identity_account ON identity (user_id, issuer);

-- Attempts to sign in at a provider that somebody signed in with, by the SHA-256 of their state, until they would have ended anyway.
CREATE TABLE spent_sign_in (
    hash {bytes} PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

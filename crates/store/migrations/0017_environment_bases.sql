-- What the name of an environment's base stood for when a session of this revision first needed it: the digest of an image's manifest. All
-- sandboxes of the revision's sessions have that one, on whatever server; another revision has the name looked up again.
ALTER TABLE environment_revision ADD COLUMN base_digest TEXT;

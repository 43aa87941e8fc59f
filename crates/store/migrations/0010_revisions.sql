-- All of an environment at each of its revisions, and who made it. Revisions of before have the configuration alone.
ALTER TABLE environment_revision ADD COLUMN name TEXT;
ALTER TABLE environment_revision ADD COLUMN description TEXT;
ALTER TABLE environment_revision ADD COLUMN restricted BIGINT;
ALTER TABLE environment_revision ADD COLUMN namespace TEXT;
ALTER TABLE environment_revision ADD COLUMN metadata TEXT;
ALTER TABLE environment_revision ADD COLUMN archived BIGINT;
ALTER TABLE environment_revision ADD COLUMN actor_kind TEXT;
ALTER TABLE environment_revision ADD COLUMN actor_id TEXT;

-- For what refers to an environment.
CREATE INDEX api_key_environment ON api_key (environment_id) WHERE environment_id IS NOT NULL;

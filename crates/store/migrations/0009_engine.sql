-- When it was stored that a call of a tool is about to be run: it is never run after that.
ALTER TABLE session_event ADD COLUMN begun_at BIGINT;
-- What only the engine reads: what a model answered, to the letter, and what was summed up.
ALTER TABLE session_event ADD COLUMN private TEXT;

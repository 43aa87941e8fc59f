-- What a session was tightened by since it was made: policies that must allow a destination too, with the revision of its environment and the
-- source of each, as a JSON list in the order in which they came. None is taken away again.
ALTER TABLE session ADD COLUMN tightened_by TEXT;
-- The sandbox that counts: the last that was started for the session, on whatever server. A session that has one, and comes to a server that
-- does not have it, gets another one, and its agent is told.
ALTER TABLE session ADD COLUMN sandbox TEXT;

-- Who brought in which file, and files that were refused for their bad rows.
ALTER TABLE imports ADD COLUMN operator TEXT;                      -- null: it was not kept then
ALTER TABLE imports ADD COLUMN digest   BLOB;                      -- SHA-256 of the file, likewise
ALTER TABLE imports ADD COLUMN refused  INTEGER NOT NULL DEFAULT 0; -- bad rows; any: nothing was imported

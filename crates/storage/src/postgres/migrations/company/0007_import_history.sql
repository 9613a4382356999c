-- Who brought in which file, and files that were refused for their bad rows. Programs of before work on.

ALTER TABLE imports
    ADD COLUMN operator TEXT COLLATE "C",              -- null: it was not kept then
    ADD COLUMN digest   BYTEA,                         -- SHA-256 of the file, likewise
    ADD COLUMN refused  BIGINT NOT NULL DEFAULT 0;     -- bad rows; any: nothing was imported

-- By what a session was begun, so that people know their own: nobody said, the console, the command line. Programs of before work on.
ALTER TABLE session ADD COLUMN way SMALLINT NOT NULL DEFAULT 0;

-- By what a session was begun, so that people know their own: nobody said, the console, the command line.
ALTER TABLE session ADD COLUMN way INTEGER NOT NULL DEFAULT 0;

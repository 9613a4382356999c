-- A count of guesses is found, made and removed by its key, and lies there.
CREATE TABLE new_guess (
    company TEXT NOT NULL,
    axis INTEGER NOT NULL,
    subject BLOB NOT NULL,
    charged INTEGER NOT NULL,
    window_end INTEGER,
    PRIMARY KEY (company, axis, subject)
) WITHOUT ROWID;
INSERT INTO new_guess SELECT company, axis, subject, charged, window_end FROM guess ORDER BY company, axis, subject;
DROP TABLE guess;
ALTER TABLE new_guess RENAME TO guess;
CREATE INDEX guess_window ON guess (window_end);

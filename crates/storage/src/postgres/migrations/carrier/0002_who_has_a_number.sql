-- Who has a number, as far as the carrier knows. Instants are microseconds; 0: always. What nobody spoke of is its first holder's.
ALTER TABLE numbers
    ADD COLUMN held_since BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN known_since BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN released BOOLEAN NOT NULL DEFAULT false; -- given up, or gone to another carrier

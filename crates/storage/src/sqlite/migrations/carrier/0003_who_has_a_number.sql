-- Who has a number, as far as the carrier knows. Instants are microseconds; 0: always. What nobody spoke of is its first holder's.
ALTER TABLE numbers ADD COLUMN held_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN known_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN released INTEGER NOT NULL DEFAULT 0; -- given up, or gone to another carrier

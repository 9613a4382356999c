-- Who holds a tied number: proved when the tie was made, and believed for thirty days, as long as nobody sets another time; then its
-- carrier is asked first.
ALTER TABLE customer_information ADD COLUMN proved_time INTEGER NOT NULL DEFAULT 0; -- when the holder was last shown to be the customer
ALTER TABLE customer_information ADD COLUMN silent_time INTEGER NOT NULL DEFAULT 0; -- nothing individual goes from then on
ALTER TABLE customer_information ADD COLUMN ask_time INTEGER;                       -- when to ask the carrier; while it is asked, the end of the lease
ALTER TABLE customer_information ADD COLUMN doubt INTEGER;                          -- what stands against it since
UPDATE customer_information SET proved_time = tie_time, silent_time = tie_time + 2592000000000, ask_time = tie_time + 2332800000000;
CREATE INDEX customer_information_ask ON customer_information (ask_time) WHERE ask_time IS NOT NULL;

-- Who is confirmed is asked for a new proof a fortnight before the tie ends.
UPDATE dialogue SET due_time = (SELECT t.expire_time - 1209600000000 FROM customer_information AS t WHERE t.number = dialogue.number)
WHERE state = 5 AND due_time IS NULL;

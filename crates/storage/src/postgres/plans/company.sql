-- A master of a million customers, with as many decisions.
INSERT INTO customers
SELECT 'Z' || lpad(n::text, 9, '0'), convert_to(n::text, 'UTF8'), 2, 0, '\x02', '\x02' FROM crowd;

UPDATE master SET revision = 1, customers = 1000000;

INSERT INTO inquiries SELECT id, 1, 'rejected', NULL, '[]', 0 FROM crowd;

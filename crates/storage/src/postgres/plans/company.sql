-- A master of a million customers, with as many decisions.
INSERT INTO customers
SELECT 'Z' || lpad(n::text, 9, '0'), 'a', 'a', '1980-02-03', 'a', '1', n::text, n::text, 'passport:2018-11', 1, '\x00', 0 FROM crowd;

UPDATE master SET revision = 1, customers = 1000000;

INSERT INTO inquiries SELECT id, 1, 'rejected', NULL, '[]', 0 FROM crowd;

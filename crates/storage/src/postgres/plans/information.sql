-- A million followers of one account beside those of the facts, with all that belongs to them. What has a time has one that never
-- comes, so that whoever looks for what is due has to pass all of it by.
INSERT INTO follower
SELECT 'zz', id, '\x02', 'alpha', true, 0, NULL, 1, false FROM crowd;

INSERT INTO subscription SELECT 'zz', id, 'alpha', true, 0 FROM crowd;

INSERT INTO dialogue
SELECT 'zz', id, id, 0, 1, 1, 1, 0, 0, 0, 0, 4102444800000000, 0, NULL, '[]', NULL FROM crowd;

INSERT INTO customer_information
SELECT 'zz', id, id, 'C' || n, 'jpki', 0, 4102444800000000, false, 0, 4102444800000000, 4102444800000000, NULL FROM crowd
WHERE n % 2 = 0;

INSERT INTO tied_customer SELECT 'zz', 'C' || n, id FROM crowd WHERE n % 2 = 0;

INSERT INTO inquiry
SELECT 'zz', id, id, 'zz', 4102444800000000, '\x02' FROM crowd WHERE n % 20 = 0;

INSERT INTO delivery (official_account, follower, message_id, carrier, distribution, purpose, state, attempts, due_time, expire_time,
    change_time)
SELECT 'zz', id, id, 'alpha', decode(repeat('ff', 16), 'hex'), 0, 0, 0, 4102444800000000, 4102444800000000, 0 FROM crowd;

INSERT INTO delivery (official_account, follower, message_id, carrier, distribution, purpose, state, attempts, due_time, expire_time,
    dialogue_id, step, change_time)
SELECT 'zz', id, uuid_nil, 'alpha', '', 0, CASE n % 20 WHEN 0 THEN 0 ELSE 2 END, 0, 4102444800000000, 4102444800000000, id, 1, 0
FROM crowd, (VALUES ('00000000-0000-4000-8000-000000000000'::uuid)) AS nil (uuid_nil) WHERE n % 10 = 0;

INSERT INTO guess SELECT 'zz', 0, decode(lpad(to_hex(n), 12, '0'), 'hex'), 1, 4102444800000000 FROM crowd WHERE n % 4 = 0;

INSERT INTO inbox SELECT 'zz', n::text, 4102444800000000 FROM crowd WHERE n % 4 = 0;

INSERT INTO review
SELECT 'zz', id, id, 'zz', id, id, NULL, 'jpki', '[]', '\x00', 0, '[]', n, 4102444800000000, NULL FROM crowd WHERE n % 20 = 0;

-- One that will run some day, and those that have.
INSERT INTO distribution
SELECT uuid, 'zz', 'zz', uuid, '\x00', 'a', '{}', NULL, 0, CASE n WHEN 0 THEN 1 ELSE 3 END, uuid, n <> 0, 0, 0, 4102444800000000,
    4102444800000000, NULL
FROM generate_series(0, 20000) AS n,
    LATERAL (SELECT ('ffffffff-ffff-ffff-ffff-' || lpad(to_hex(281474976710655 - n), 12, '0'))::uuid AS uuid) AS named;

INSERT INTO distribution_value
SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'C' || n, '\x02' FROM crowd WHERE n % 2 = 0;

INSERT INTO delivery_tally VALUES ('zz', 'alpha', decode(repeat('ff', 16), 'hex'), 0, 0, 0, 1000000);

INSERT INTO entrusted_customer
SELECT 'zz', 1, convert_to(n::text, 'UTF8'), 'C' || n, 2, '\x02' FROM crowd;

INSERT INTO blind_customer
SELECT 'zz', 2, decode(md5(n::text), 'hex'), 'C' || n, '\x02' FROM crowd;

INSERT INTO custody VALUES ('zz', 1, 1, 1000000, 0, 0, 4102444800000000, NULL, NULL);

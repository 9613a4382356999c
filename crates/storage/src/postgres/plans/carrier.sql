-- A million phones of one fleet that follow one account, each with a message that waits.
INSERT INTO accounts (account_id, name, display_name, generation) OVERRIDING SYSTEM VALUE VALUES (1000000, 'zz', 'zz', 1);

INSERT INTO fleets (fleet_id, name) OVERRIDING SYSTEM VALUE VALUES (1000000, 'zz');

INSERT INTO subscriptions SELECT 1000000, 819000000000 + n, 1, NULL FROM crowd;

INSERT INTO numbers SELECT 819000000000 + n, 1000000 FROM crowd;

INSERT INTO messages SELECT n, 1000000, id, 819000000000 + n, 1000000, 0, 4102444800000000, '\x00' FROM crowd;

UPDATE heads SET last = 1000000 WHERE head = 2;

INSERT INTO action_batches SELECT id FROM crowd WHERE n % 4 = 0;

INSERT INTO persons
SELECT 'jpki', 'zz' || n, 819000000000 + n, '1', 'a', NULL, '1980-02-03', 'a' FROM crowd;

INSERT INTO agent_messages SELECT 1000000, id, 'zz' || n, 819000000000 + n, 2, 1, false, n, '{}' FROM crowd;

INSERT INTO webhook_events (account_id, msisdn, event_id, kind, event_time, due_time)
SELECT 1000000, 819000000000 + n, id, 0, n, n FROM crowd;

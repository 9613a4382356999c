-- A million talk rooms, each with a line, and an outbox of as many actions, up to a thousand in a call, that are not due yet.
INSERT INTO talk_rooms SELECT n, '+819' || lpad(n::text, 9, '0'), 'zz', 'kumo', 0, '\x00' FROM crowd;

INSERT INTO lines SELECT n, n, 0, 'm' || n, '\x00' FROM crowd;

INSERT INTO outbox SELECT n, 'kumo', 0, 500, 4102444800000000, '\x00' FROM crowd WHERE n % 500 = 0;

UPDATE head SET talk_rooms = 1000000, lines = 1000000, batches = 1000000;

-- Limits are an official account's, so what is due is claimed by account; a distribution has one, dialogues have many. With the
-- state in it, what is due is counted without a look at the rows.

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (carrier, distribution, official_account, due_time, state) WHERE state IN (0, 1);

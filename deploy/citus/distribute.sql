-- Distributes the information-management server's tables by follower, over the workers of a Citus cluster: run once, by their owner, on the
-- coordinator, after `musubi migrate` and before the first follower. deploy/citus/README.md says what this buys, and what was not tried.

-- The id of a review is drawn; that no two reviews have one rests on 128 bits, and on the primary key within a follower.
DROP INDEX review_id;
CREATE INDEX review_id ON review (company, review_id);

-- What belongs to a follower lies with the follower, so that a claim, a receipt and a walk stay on one worker.
SELECT create_distributed_table('follower', 'follower', colocate_with => 'none');
SELECT create_distributed_table('subscription', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('dialogue', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('customer_information', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('inquiry', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('delivery', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('review', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('erasure', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('consent', 'follower', colocate_with => 'follower');
SELECT create_distributed_table('trial_recipient', 'follower', colocate_with => 'follower');

-- One row for each customer of a company, found by the customer.
SELECT create_distributed_table('tied_customer', 'customer_id', colocate_with => 'none');
SELECT create_distributed_table('distribution_value', 'customer_id', colocate_with => 'tied_customer');
SELECT create_distributed_table('entrusted_customer', 'customer_id', colocate_with => 'tied_customer');
SELECT create_distributed_table('blind_customer', 'customer_id', colocate_with => 'tied_customer');

-- Read by every claim, written seldom: a copy on each worker.
SELECT create_reference_table('keyed_account');
SELECT create_reference_table('company_key');
SELECT create_reference_table('distribution');
SELECT create_reference_table('revocation');
SELECT create_reference_table('consent_text');

-- Everything else stays on the coordinator: counts, guesses, events that were seen, lists, copies, approvals, the audit and its seals.

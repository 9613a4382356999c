-- A customer who is erased goes from the decisions, too.
CREATE INDEX inquiries_by_customer ON inquiries (customer_id) WHERE customer_id IS NOT NULL;

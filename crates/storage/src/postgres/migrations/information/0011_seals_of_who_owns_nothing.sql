-- Whoever seals the audit looks at how far its numbers go; who works as a node and owns nothing was refused that. Programs of before
-- work on.
GRANT SELECT ON SEQUENCE audit_audit_id_seq TO musubi_node;

-- People who sign in at the company's provider of OpenID Connect. Both hashes are keyed: nobody's address or name stands here.

ALTER TABLE operator ADD COLUMN openid BLOB;         -- hash of what the provider calls the person, by the claim that the configuration names
ALTER TABLE operator ADD COLUMN openid_subject BLOB; -- hash of the provider's own name for the account, since the first sign-in
CREATE UNIQUE INDEX operator_by_openid ON operator (openid) WHERE openid IS NOT NULL;

CREATE TABLE openid_ticket (                         -- sign-ins that came to their end: each is good once
    ticket   BLOB PRIMARY KEY,                       -- SHA-256
    end_time INTEGER NOT NULL                        -- until when it would have been good
) STRICT, WITHOUT ROWID;

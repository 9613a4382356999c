//! Rows of the version before the vault, as its programs wrote them: the same people, in the clear.

use musubi_domain::dialogue::{Stage, State};

use super::{
    ACCOUNT, ADDRESS, BIRTH_DATE, BRANCH, CONTROL, KANA, MATCH_KEYS, NAME, NUMBER, VALUE, at, identity,
    people,
};
use crate::row::{hex, place};

/// What the review of follower 2 keeps, as the version before sealed it with the key "sealed reviews before".
const SEALED_BEFORE: &str = "\
    014262a9fb3624c05ba826a98344db52c926b6e2390aa2dd8722b6f535ee0822d154c9a4c30a030ef66750c653ccb9780904\
    b6ee044d9f8bd4b95cf453e74870d7e9a29b713e663f0d2f2918aef9f7de1c2d1722a34b470c01116f9992b344d5d2519c1b\
    7f6f0691877e1a2cf3029d5661e22c50025e104e06172002569292fbc6e3f9557764c0aa19226eaeb428542e3aca1a1b1d61\
    41b52eafcb4aa98ccd49c59a04996e9396d153936480b3e8e37df68ad9034efe1f399a9736a6b0d37bf97aeed82555c49ec0\
    d5c51113ea49a36eb014fc84a7a1350d92195313f41f6ea1735a0eb39d983c765f10faa750321ec928dc2a378153b87ba45b\
    d97d8d703ec7100412edd52b7a0be9c5";

/// Whose SQL rows of before are written in.
#[derive(Clone, Copy)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// An id.
    fn id(self, bytes: &[u8; 16]) -> String {
        match self {
            Self::Sqlite => self.bytes(bytes),
            Self::Postgres => format!("'{}'", hex(bytes)),
        }
    }

    fn bytes(self, bytes: &[u8]) -> String {
        match self {
            Self::Sqlite => format!("x'{}'", hex(bytes)),
            Self::Postgres => format!("'\\x{}'", hex(bytes)),
        }
    }

    const fn truth(self, truth: bool) -> &'static str {
        match (self, truth) {
            (Self::Sqlite, true) => "1",
            (Self::Sqlite, false) => "0",
            (Self::Postgres, true) => "true",
            (Self::Postgres, false) => "false",
        }
    }
}

/// Statements that put the planted people into an information store of the version before the vault.
pub(crate) fn information_of_before(dialect: Dialect) -> Vec<String> {
    let micros = |second: i64| at(second).as_microsecond();
    let (now, later, end) = (micros(0), micros(1_000_000), micros(50_000));
    let (yes, no) = (dialect.truth(true), dialect.truth(false));
    let mut rows = Vec::new();
    for (record, last) in people().iter().zip(1_u8..) {
        let (id, dialogue) = (dialect.id(&[last; 16]), record.dialogue.as_ref().unwrap());
        let dialogue_id = dialect.id(dialogue.id.as_bytes());
        // On SQLite what belongs to a follower has its number; the followers come in this order.
        let whose = match dialect {
            Dialect::Sqlite => last.to_string(),
            Dialect::Postgres => format!("'bank', {id}"),
        };
        rows.push(format!(
            "INSERT INTO follower (official_account, follower, phone_number, carrier, following, follow_time)
             VALUES ('bank', {id}, '{NUMBER}', 'alpha', {yes}, {now})"
        ));
        rows.push(format!("INSERT INTO subscription VALUES ({whose}, 'alpha', {yes}, {now})"));
        let state = place(&State::ALL, &dialogue.state);
        let given = if dialogue.given.is_some() {
            format!("'{BRANCH}', '{ACCOUNT}'")
        } else {
            "NULL, NULL".to_owned()
        };
        let reached = place(&Stage::ALL, &dialogue.reached);
        let (shard, shards) = match dialect {
            Dialect::Sqlite => ("", ""),
            Dialect::Postgres => ("0, ", ", shard"),
        };
        rows.push(format!(
            "INSERT INTO follower_tally VALUES ('bank', 'alpha', {yes}, {state}, {reached}, {shard}1)
             ON CONFLICT (official_account, carrier, following, state, reached{shards}) DO UPDATE SET count = follower_tally.count + 1"
        ));
        let due = dialogue.due_time.map_or_else(|| "NULL".to_owned(), |due| due.as_microsecond().to_string());
        rows.push(format!(
            "INSERT INTO dialogue VALUES ({whose}, {dialogue_id}, {}, {state}, {}, {}, {}, {}, {}, {}, {due}, {}, {given}, NULL, '[]')",
            dialogue.turn,
            dialogue.step,
            dialogue.messages,
            dialogue.reminders,
            dialogue.unreadable,
            dialogue.tries,
            reached,
            dialogue.state_time.as_microsecond(),
        ));
        if let Some(inquiry) = &record.inquiry {
            rows.push(format!(
                "INSERT INTO inquiry VALUES ({whose}, {}, 'bank', '{BRANCH}', '{ACCOUNT}', '{}', {now})",
                dialect.id(inquiry.id.as_bytes()),
                serde_json::to_string(&identity()).unwrap(),
            ));
        }
        if let Some(review) = &record.review {
            rows.push(format!(
                "INSERT INTO review (official_account, follower, review_id, company, dialogue_id, inquiry_id, proposed_customer, method,
                     reasons, sealed, state, decisions, open_time, expire_time)
                 VALUES ('bank', {id}, {}, 'bank', {}, {}, 'C1', 'jpki', '{}', {}, 0, '[]', {}, {})",
                dialect.id(review.id.as_bytes()),
                dialect.id(review.dialogue.as_bytes()),
                dialect.id(review.inquiry.as_bytes()),
                serde_json::to_string(&review.reasons).unwrap(),
                match dialect {
                    Dialect::Sqlite => format!("x'{SEALED_BEFORE}'"),
                    Dialect::Postgres => format!("'\\x{SEALED_BEFORE}'"),
                },
                review.open_time.as_microsecond(),
                review.expire_time.as_microsecond(),
            ));
        }
    }
    let (tied, tie) = (dialect.id(&[3; 16]), dialect.id(&[7; 16]));
    let distribution = dialect.id(&[1; 16]);
    match dialect {
        Dialect::Sqlite => rows.push(format!(
            "INSERT INTO customer_information VALUES (3, 'bank', {tie}, 'C7', 'jpki', {now}, {later}, 0)"
        )),
        Dialect::Postgres => rows.extend([
            format!(
                "INSERT INTO customer_information VALUES ('bank', {tied}, {tie}, 'C7', 'jpki', {now}, {later}, false)"
            ),
            format!("INSERT INTO tied_customer VALUES ('bank', 'C7', {tied})"),
        ]),
    }
    let cursor = match dialect {
        Dialect::Sqlite => "0".to_owned(),
        Dialect::Postgres => dialect.id(&[0; 16]),
    };
    let keys = dialect.bytes(MATCH_KEYS);
    rows.extend([
        format!(
            "INSERT INTO distribution (distribution_id, company, official_account, request_id, request_digest, name, uniform, individual,
                 customers, state, cursor, expanded, messages_per_second, create_time, start_time, expire_time)
             VALUES ({distribution}, 'bank', 'bank', {distribution}, {}, 'n', '{{}}', '{{}}', 1, 1, {cursor}, {no}, 0, {now}, {now}, {end})",
            dialect.bytes(&[1; 32]),
        ),
        format!("INSERT INTO distribution_value VALUES ({distribution}, 'C7', '[\"{VALUE}\"]')"),
        format!("INSERT INTO custody VALUES ('bank', 1, 1, 1, {now}, {now}, {later}, NULL, NULL)"),
        format!(
            "INSERT INTO entrusted_customer VALUES
             ('bank', 1, '{ACCOUNT}', 'C7', '{NAME}', '{KANA}', '{BIRTH_DATE}', '{ADDRESS}', '{BRANCH}', '{ACCOUNT}', 1, {keys})"
        ),
        format!("INSERT INTO audit (time, company, action, detail) VALUES ({now}, 'bank', 'control', '{CONTROL}')"),
    ]);
    rows
}

/// The same for a company store.
pub(crate) fn company_of_before(dialect: Dialect) -> Vec<String> {
    let (now, keys) = (at(0).as_microsecond(), dialect.bytes(MATCH_KEYS));
    vec![
        format!(
            "INSERT INTO customers (customer_id, name, name_kana, birth_date, address, branch_number, account_number, account_key,
                 identity_verification, rules_version, match_keys, update_time)
             VALUES ('C7', '{NAME}', '{KANA}', '{BIRTH_DATE}', '{ADDRESS}', '{BRANCH}', '{ACCOUNT}', '{ACCOUNT}', 'passport:2018-11', 1,
                 {keys}, {now})"
        ),
        "UPDATE master SET revision = 1, customers = 1".to_owned(),
        format!(
            "INSERT INTO imports (import_time, revision, rows, added, changed, removed, encoding)
             VALUES ({now}, 1, 1, 1, 0, 0, '{CONTROL}')"
        ),
    ]
}

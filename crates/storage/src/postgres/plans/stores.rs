//! Every store beside a million: the facts of the conformance suite where a crowd does not touch them, and else a walk through the
//! store's methods.
//!
//! Surprising: the crowd's names come behind all others, so that a fact's rows can be deleted by the keys' order.

use jiff::Timestamp;
use musubi_domain::{
    customer::{MatchDecision, MatchOutcome},
    id::InquiryId,
};
use tokio::sync::Mutex;

use super::Million;
use crate::{
    Opened as _,
    carrier::{MessageStore as _, SubscriberListStore as _},
    company::{CompanyStore as _, CustodyEvent, DecidedInquiry},
    conformance::{carrier, company, information, vault::vault},
    information::custody::CustodyStore as _,
    postgres::{
        carrier::PostgresCarrierStore, company::PostgresCompanyStore, information::PostgresInformation,
        terminal::PostgresTerminalStore,
    },
    terminal::{
        Advance, Bytes, Line, NewBatch, NewLine, Outbox, Reception, Sender, TalkRoom, Tally,
        TerminalStore as _,
    },
    vault::customer::{seal_customer, seal_entrusted},
};

/// Deletes what stands before the crowd in the order of the keys.
const EMPTY_INFORMATION: &str = "
    DO $$
    DECLARE
        key RECORD;
    BEGIN
        SET LOCAL enable_seqscan = off;
        -- Lines of the audit can't be deleted.
        SET LOCAL session_replication_role = replica;
        FOR key IN SELECT c.relname, a.attname, CASE t.typname WHEN 'text' THEN 'zz' WHEN 'uuid'
                THEN 'ffffffff-ffff-0000-0000-000000000000' ELSE '9000000000000' END AS crowd
            FROM pg_class AS c JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
            JOIN pg_type AS t ON t.oid = a.atttypid
            WHERE NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
                -- The store that is open says once whose its accounts are.
                AND c.relname NOT IN ('_sqlx_migrations', 'keyed_account')
        LOOP
            EXECUTE format('DELETE FROM %I WHERE %I < %L', key.relname, key.attname, key.crowd);
        END LOOP;
    END
    $$";
const EMPTY_CARRIER: &str = "
    SET enable_seqscan = off;
    DELETE FROM accounts WHERE account_id < 1000000;
    DELETE FROM subscriptions WHERE account_id < 1000000;
    DELETE FROM fleets WHERE fleet_id < 1000000;
    DELETE FROM numbers WHERE msisdn < 819000000000;
    DELETE FROM messages WHERE account_id < 1000000;
    DELETE FROM action_batches WHERE batch_id < 'ffffffff-0000-0000-0000-000000000000';
    DELETE FROM assertion_batches;
    DELETE FROM outbox;
    DELETE FROM authority_keys;
    DELETE FROM agents WHERE account_id < 1000000;
    DELETE FROM agent_keys;
    DELETE FROM agent_messages WHERE account_id < 1000000;
    DELETE FROM webhook_events WHERE account_id < 1000000;
    DELETE FROM agent_files;
    DELETE FROM agent_testers;
    DELETE FROM phones_away;
    DELETE FROM persons WHERE credential_id < 'zz'";

/// Those of the crowd that are read and so have to be sealed; their keys are of rules before the crowd's.
const SEALED: std::ops::RangeInclusive<u32> = 500_001..=500_012;
/// How many of them get new keys, ten at a time.
const REKEYED: [u32; 3] = [10, 2, 0];
const SEAL_CUSTOMER: &str = "
    UPDATE customers SET account_key = $2, record = $3, rules_version = 1
    WHERE customer_id = 'Z' || lpad($1::bigint::text, 9, '0')";
const SEAL_ENTRUSTED: &str = "
    UPDATE entrusted_customer SET account_key = $2, record = $3, rules_version = 1
    WHERE company = 'zz' AND copy = 1 AND account_key = convert_to($1::bigint::text, 'UTF8')";

/// What counts a distribution's whole audience.
const OF_PREVIEWS: [&str; 1] = ["SELECT count(*), count(*) FILTER"];
/// What compares a whole master.
const OF_IMPORTS: [&str; 2] =
    ["SELECT (SELECT count(*) FROM staged_customers)", "DELETE FROM staged_customers"];

fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

#[tokio::test]
async fn no_statement_of_the_information_store_grows_with_its_followers() {
    let sql = include_str!("information.sql");
    let (mut million, options) = Million::fill("information", PostgresInformation::MIGRATIONS, sql).await;
    let store = PostgresInformation::open(&options, vault("")).await.unwrap();
    {
        let million = Mutex::new(&mut million);
        let before = async |fact: &str| {
            let mut million = million.lock().await;
            million.look();
            million.run(EMPTY_INFORMATION).await;
            // The crowd has keys, too; see below. And how many pages a page of the audit touches depends on what facts before it left in its
            // index, dead.
            ![
                "a_company_reads_its_own_lines_alone",
                "entrusted_keys_of_other_rules_are_made_anew_until_none_is_left",
                "digests_are_made_anew_by_nobody_here",
            ]
            .contains(&fact)
        };
        information::information_store_suite!(in_turn store, before);
    }
    million.run(EMPTY_INFORMATION).await;
    let keys = store.keys();
    for number in SEALED {
        let customer = company::customer(&format!("C{number}"), &number.to_string(), "a");
        let sealed = seal_entrusted(keys.of_company("zz").unwrap(), 1, &customer, &[1]).unwrap();
        million.seal(SEAL_ENTRUSTED, number, &sealed).await;
    }
    for rekeyed in REKEYED {
        assert_eq!(store.rekey(2, 10, &|_| vec![2]).await.unwrap(), rekeyed);
    }
    store.close().await;
    million.assert_right(100, &OF_PREVIEWS);
}

#[tokio::test]
async fn no_statement_of_the_carriers_store_grows_with_its_phones() {
    let sql = include_str!("carrier.sql");
    let (mut million, options) = Million::fill("carrier", &crate::postgres::carrier::MIGRATIONS, sql).await;
    let store = PostgresCarrierStore::open(&options, carrier::encode).await.unwrap();
    {
        let million = Mutex::new(&mut million);
        let before = async |_: &str| {
            let mut million = million.lock().await;
            million.look();
            million.run(EMPTY_CARRIER).await;
            true
        };
        carrier::carrier_store_suite!(in_turn store, before);
    }
    // The crowd itself.
    let account = carrier::account("zz");
    let snapshot = store.get_snapshot(&account).await.unwrap();
    let page = store.list_followers(&account, snapshot, None).await.unwrap();
    assert!(!store.list_followers(&account, snapshot, page.last().cloned()).await.unwrap().is_empty());
    assert!(!store.list_queued(&carrier::fleet("zz"), 500_000, now()).await.unwrap().is_empty());
    store.close().await;
    million.assert_right(30, &[]);
}

#[tokio::test]
async fn no_statement_of_the_company_store_grows_with_its_customers() {
    let sql = include_str!("company.sql");
    let (mut million, options) = Million::fill("company", &crate::postgres::company::MIGRATIONS, sql).await;
    let store = PostgresCompanyStore::open(&options, vault("bank")).await.unwrap();
    let keys = store.keys();
    for number in SEALED {
        let customer = company::customer(&format!("Z{number:09}"), &number.to_string(), "a");
        let sealed = seal_customer(keys.of_company("bank").unwrap(), &customer, &[1]).unwrap();
        million.seal(SEAL_CUSTOMER, number, &sealed).await;
    }
    store.begin_import().await.unwrap();
    store.stage_customers(&[company::keyed("C1", "1", "a")]).await.unwrap();
    store.finish_import(crate::company::ImportEnding::Compare, None).await.unwrap();
    let middle = "Z000500000".parse().unwrap();
    assert!(store.find_customer(&"Z000500001".parse().unwrap()).await.unwrap().is_some());
    let page = store.list_customers(Some(&middle), 10).await.unwrap();
    assert_eq!((page.customers.len(), page.total), (10, 1_000_000));
    assert_eq!(store.find_by_account_keys(&["500001", "500012"]).await.unwrap().customers.len(), 2);
    for rekeyed in REKEYED {
        assert_eq!(store.rekey(2, 10, &|_| vec![2]).await.unwrap(), rekeyed);
    }
    let decision = MatchDecision { outcome: MatchOutcome::Rejected, customer_id: None, reasons: Vec::new() };
    let inquiry_id = InquiryId::from_bytes([7; 16]);
    store.record_decisions(1, &[DecidedInquiry { inquiry_id, decision }], now()).await.unwrap();
    assert!(store.find_decision(inquiry_id).await.unwrap().is_some());
    let erased = "Z000500003".parse().unwrap();
    assert!(store.erase_customer(&erased, &"sato".parse().unwrap(), Timestamp::UNIX_EPOCH).await.unwrap());
    assert!(store.search_customer(&erased).await.unwrap().iter().all(|(_, rows)| *rows == 0));
    let event = CustodyEvent {
        event_time: now(),
        revision: 1,
        customers: 1,
        lease_end_time: None,
        digest_rules: None,
    };
    store.record_custody(event, None).await.unwrap();
    assert_eq!(store.get_status().await.unwrap().customers, 999_999);
    store.close().await;
    million.assert_right(12, &OF_IMPORTS);
}

#[tokio::test]
async fn no_statement_of_the_terminals_store_grows_with_its_talk_rooms() {
    let sql = include_str!("terminal.sql");
    let (million, options) = Million::fill("terminal", &crate::postgres::terminal::MIGRATIONS, sql).await;
    let store = PostgresTerminalStore::open(&options).await.unwrap();
    let kumo = "kumo".parse().unwrap();
    let batch = NewBatch {
        carrier: "kumo".parse().unwrap(),
        kind: 0,
        actions: 1,
        due_time: None,
        request: Bytes(vec![0]),
    };
    let room = TalkRoom {
        talk_room: 0,
        phone_number: "+818000000001".parse().unwrap(),
        official_account: "bank".parse().unwrap(),
        carrier: "kumo".parse().unwrap(),
        step: 0,
        story: Bytes(vec![0]),
    };
    let phone = room.phone_number;
    let first = store.add_talk_rooms(&[room], std::slice::from_ref(&batch)).await.unwrap();
    assert_eq!(store.list_talk_rooms(500_000, None, 10).await.unwrap().len(), 10);
    assert_eq!(store.list_talk_rooms(0, Some(&phone), 10).await.unwrap().len(), 1);
    assert_eq!(store.list_lines(&[1, 500_000]).await.unwrap().len(), 2);
    assert_eq!(store.find_shown(&[(1, "m1"), (first, "m1")]).await.unwrap(), [0]);
    let line = Line { line_time: now(), message_id: Some("new".to_owned()), content: Bytes(vec![0]) };
    let reception = Reception {
        lines: vec![NewLine { talk_room: first, line }],
        advances: vec![Advance { talk_room: first, step: 1 }],
        batches: vec![batch],
        senders: vec![Sender {
            carrier: "kumo".parse().unwrap(),
            official_account: "bank".parse().unwrap(),
            display_name: "a".to_owned(),
        }],
        tally: Tally::default(),
    };
    store.receive(&reception).await.unwrap();
    while let Outbox::Due(due) = store.next_batch(&kumo, now()).await.unwrap() {
        store.finish_batch(due.batch, &[Advance { talk_room: first, step: 2 }], 0).await.unwrap();
    }
    store.list_senders().await.unwrap();
    store.get_tally().await.unwrap();
    store.close().await;
    million.assert_right(10, &[]);
}

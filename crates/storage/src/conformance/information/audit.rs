//! Facts about the audit's seals: nothing is skipped, and whatever is done to a sealed line is found.

use std::time::Duration;

use musubi_domain::audit::{AuditKeyring, AuditLine, Fault, Head};

use super::{Bench, at, change, follow, key, named};
use crate::{
    audit::{Verdict, verify},
    information::flow::{Audit, Scope},
};

/// How long a store may take to seal what was committed.
const PATIENCE: Duration = Duration::from_secs(30);

fn keys() -> AuditKeyring {
    AuditKeyring::new(&[b"signs seals of the facts"]).unwrap()
}

/// Writes a line for each word, in one unit.
async fn write(store: &dyn Bench, words: &[&str]) {
    let line = |word: &&str| Audit {
        company: Some(named("bank")),
        key: None,
        action: "told",
        detail: (*word).to_owned(),
    };
    let mut edit = |work: &mut crate::information::flow::Work| work.audits = words.iter().map(line).collect();
    store.work("fact", &Scope::default(), at(0), &mut edit).await.unwrap();
}

async fn verified(store: &dyn Bench, kept: Option<Head>) -> Verdict {
    verify(store, &keys(), kept).await.unwrap()
}

/// Seals at most so many lines at once, until none is unsealed.
async fn seal(store: &dyn Bench, limit: u32) {
    let sealing = async {
        while verified(store, None).await.unsealed > 0 {
            store.seal_audit(&keys(), at(1), limit).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, sealing).await.unwrap();
}

/// Three seals: of *a* and *b*, *c* and *d*, *e*. Gives their lines.
async fn sealed(store: &dyn Bench) -> Vec<AuditLine> {
    write(store, &["a", "b", "c", "d", "e"]).await;
    seal(store, 2).await;
    let verdict = verified(store, None).await;
    assert_eq!((verdict.seals, verdict.lines, verdict.broken), (3, 5, None));
    let lines = store.audit_lines(0, 10).await.unwrap();
    let mut back = store.audit_lines_before(i64::MAX, 3).await.unwrap();
    back.extend(store.audit_lines_before(back[2].audit_id, 10).await.unwrap());
    back.reverse();
    assert_eq!(back, lines, "read back, page by page");
    lines
}

async fn fault(store: &dyn Bench) -> Option<(i64, Fault)> {
    verified(store, None).await.broken.map(|broken| (broken.number, broken.fault))
}

pub(crate) async fn lines_are_sealed_in_batches_and_verified(store: &dyn Bench) {
    assert_eq!(verified(store, None).await, Verdict::default());
    let lines = sealed(store).await;
    let told: Vec<_> = lines.iter().map(|line| line.detail.as_str()).collect();
    assert_eq!(told, ["a", "b", "c", "d", "e"]);
    assert_eq!((lines[0].company.as_str(), lines[0].action.as_str(), lines[0].time), ("bank", "told", at(0)));
    let seals = store.audit_seals(0, 10).await.unwrap();
    assert_eq!(seals.iter().map(|seal| seal.count).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!((seals[0].first_id, seals[1].last_id), (lines[0].audit_id, lines[3].audit_id));
    assert_eq!((seals[2].time, store.audit_seals(2, 10).await.unwrap()), (at(1), vec![seals[2].clone()]));
    write(store, &["f"]).await;
    let verdict = verified(store, Some(seals[1].head())).await;
    assert_eq!((verdict.head, verdict.unsealed), (Some(seals[2].head()), 1));
    assert!(!verdict.is_late(at(60)) && verdict.is_late(at(61)));
    let other = AuditKeyring::new(&[b"another key, of others"]).unwrap();
    let broken = verify(store, &other, None).await.unwrap().broken.unwrap();
    assert_eq!((broken.number, broken.fault), (1, Fault::UnknownKey));
}

pub(crate) async fn whatever_is_done_to_sealed_lines_is_found(store: &dyn Bench) {
    let lines = sealed(store).await;
    let third = lines[2].audit_id;
    let undo =
        format!("UPDATE audit SET detail = 'c', time = {} WHERE audit_id = {third}", at(0).as_microsecond());
    for column in [
        "detail = 'x'",
        "time = time + 1",
        "company = 'power'",
        "official_account = 'bank'",
        "action = 'tied'",
    ] {
        store.tamper(&format!("UPDATE audit SET {column} WHERE audit_id = {third}")).await;
        assert_eq!(fault(store).await, Some((2, Fault::Lines)), "{column}");
        store.tamper("UPDATE audit SET company = 'bank', official_account = NULL, action = 'told'").await;
        store.tamper(&undo).await;
        assert_eq!(fault(store).await, None);
    }
    // Moved: within a seal, and from one into another.
    for (one, other, broken) in [("c", "d", 2), ("b", "c", 1)] {
        let swap = format!(
            "UPDATE audit SET detail = CASE detail WHEN '{one}' THEN '{other}' WHEN '{other}' THEN '{one}' ELSE detail END"
        );
        store.tamper(&swap).await;
        assert_eq!(fault(store).await, Some((broken, Fault::Lines)));
        store.tamper(&swap).await;
    }
    // Removed, and put back as it was; then one more, before all others and behind a seal's last.
    store.tamper(&format!("DELETE FROM audit WHERE audit_id = {third}")).await;
    assert_eq!(fault(store).await, Some((2, Fault::Count { found: 1 })));
    let insert = |id: i64| {
        format!(
            "INSERT INTO audit (audit_id, time, company, official_account, follower, action, detail)
             OVERRIDING SYSTEM VALUE VALUES ({id}, {}, 'bank', NULL, NULL, 'told', 'c')",
            at(0).as_microsecond()
        )
    };
    store.tamper(&insert(third)).await;
    assert_eq!(fault(store).await, None);
    store.tamper(&insert(lines[0].audit_id - 1)).await;
    assert_eq!(fault(store).await.map(|(number, _)| number), Some(1));
}

pub(crate) async fn whatever_is_done_to_seals_is_found(store: &dyn Bench) {
    sealed(store).await;
    for (column, fault_of_it) in [
        ("last_id = last_id + 1", Fault::Signature),
        ("count = 1", Fault::Signature),
        ("time = 0", Fault::Signature),
        ("digest = previous", Fault::Signature),
    ] {
        store.tamper("CREATE TABLE kept AS SELECT * FROM audit_seal").await;
        store.tamper(&format!("UPDATE audit_seal SET {column} WHERE number = 2")).await;
        assert_eq!(fault(store).await, Some((2, fault_of_it)), "{column}");
        store.tamper("DELETE FROM audit_seal").await;
        store.tamper("INSERT INTO audit_seal SELECT * FROM kept").await;
        store.tamper("DROP TABLE kept").await;
        assert_eq!(fault(store).await, None);
    }
    store.tamper("DELETE FROM audit_seal WHERE number = 2").await;
    assert_eq!(fault(store).await, Some((3, Fault::Missing)));
    store.tamper("UPDATE audit_seal SET number = 2 WHERE number = 3").await;
    assert_eq!(fault(store).await, Some((2, Fault::Signature)));
    store.tamper("DELETE FROM audit_seal WHERE number = 1").await;
    assert_eq!(fault(store).await, Some((2, Fault::Missing)));
}

pub(crate) async fn a_tail_that_was_cut_is_found_by_the_head_that_was_kept(store: &dyn Bench) {
    let lines = sealed(store).await;
    let kept = verified(store, None).await.head;
    assert_eq!(verified(store, kept).await.broken, None);
    store.tamper(&format!("DELETE FROM audit WHERE audit_id = {}", lines[4].audit_id)).await;
    assert_eq!(fault(store).await, Some((3, Fault::Count { found: 0 })));
    store.tamper("DELETE FROM audit_seal WHERE number = 3").await;
    assert_eq!(fault(store).await, None, "what is left is whole");
    let broken = verified(store, kept).await.broken.unwrap();
    assert_eq!((broken.number, broken.fault), (3, Fault::Head));
    write(store, &["e"]).await;
    seal(store, 2).await;
    assert_eq!(verified(store, kept).await.broken.map(|broken| broken.fault), Some(Fault::Head), "made anew");
}

pub(crate) async fn nothing_is_skipped_beside_writers(store: &dyn Bench) {
    const WRITERS: usize = 4;
    const UNITS: usize = 25;
    let writer = async |writer: usize| {
        for unit in 0..UNITS {
            let words = [format!("{writer} {unit} a"), format!("{writer} {unit} b")];
            write(store, &words.each_ref().map(String::as_str)).await;
        }
    };
    let writing = futures::future::join_all((0..WRITERS).map(writer));
    let sealing = async {
        loop {
            store.seal_audit(&keys(), at(1), 7).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = writing => {}
        () = sealing => {}
    }
    seal(store, 50).await;
    let verdict = verified(store, None).await;
    assert_eq!((verdict.lines, verdict.unsealed), ((2 * WRITERS * UNITS) as u64, 0));
    assert_eq!(verdict.broken, None);
}

pub(crate) async fn nobody_changes_the_audit_openly(store: &dyn Bench) {
    sealed(store).await;
    for sql in [
        "UPDATE audit SET detail = 'x'",
        "DELETE FROM audit",
        "UPDATE audit_seal SET count = 9",
        "DELETE FROM audit_seal",
    ] {
        let said = store.tamper_openly(sql).await;
        assert!(said.contains("the audit is only added to"), "{said}");
    }
    assert_eq!(fault(store).await, None);
}

pub(crate) async fn who_moves_is_in_the_audit_and_many_are_by_a_count_and_a_digest(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let lines = store.audits().await;
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let begins = format!("bank bank {} moved followed", "01".repeat(16));
    assert!(line.starts_with(&begins) && !line.contains("sha256"), "{line}");
    follow(store, "bank", 2..12).await;
    let lines = store.audits().await;
    let line = lines.last().unwrap();
    assert!(line.starts_with("bank bank - moved 10 followers: 10 followed"), "{line}");
    let (_, digest) = line.rsplit_once("; sha256 ").unwrap();
    assert_eq!(digest.len(), 64);
    // What moves nobody has no line, and nobody else's number or customer stands in one.
    change(store, &key("bank", 2), |record| record.suspended = true).await;
    assert_eq!(store.audits().await.len(), lines.len());
    change(store, &key("bank", 2), |record| record.following = false).await;
    let lines = store.audits().await;
    assert!(lines.last().unwrap().ends_with(" moved left"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("+81")), "{lines:?}");
}

pub(crate) async fn a_company_reads_its_own_lines_alone(store: &dyn Bench) {
    let lines = [
        ("bank", Some("bank"), "a"),
        ("bank", None, "b"),
        ("power", Some("power"), "c"),
        ("bank", Some("bank"), "d"),
    ];
    let line = |(company, account, word): &(&str, Option<&str>, &str)| Audit {
        company: Some(named(company)),
        key: account.map(|account| key(account, 1)),
        action: "told",
        detail: (*word).to_owned(),
    };
    let mut edit = |work: &mut crate::information::flow::Work| work.audits = lines.iter().map(line).collect();
    store.work("fact", &Scope::default(), at(0), &mut edit).await.unwrap();
    let read = async |company: &str, account: Option<&str>, before, limit| {
        let account = account.map(named);
        let lines = store.audit_lines_of(&named(company), account.as_ref(), before, limit).await.unwrap();
        lines.iter().map(|line| (line.audit_id, line.detail.clone())).collect::<Vec<_>>()
    };
    let words = |lines: &[(i64, String)]| lines.iter().map(|(_, word)| word.clone()).collect::<String>();
    let bank = read("bank", Some("bank"), i64::MAX, 10).await;
    assert_eq!(words(&bank), "da", "newest first");
    assert_eq!(words(&read("bank", Some("bank"), bank[0].0, 10).await), "a");
    assert_eq!(words(&read("bank", Some("bank"), i64::MAX, 1).await), "d");
    assert_eq!(words(&read("bank", None, i64::MAX, 10).await), "b");
    assert_eq!(words(&read("power", Some("bank"), i64::MAX, 10).await), "");
    assert_eq!(words(&read("power", None, i64::MAX, 10).await), "");
}

//! Facts about what one person asked for and another has to approve.

use musubi_domain::{
    ErrorKind,
    approval::{ApprovalState as S, Subject},
    distribution::{Command, State},
    erasure::{Cause, Erasure},
    id::ApprovalId,
    review::Verdict,
};

use super::{Bench, asker_of, at, claim_list, draft, follow, key, list, named, order_of};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        approval::{Approval, ApprovalQuery, Word},
        distribution::Order,
        erasure::Reading,
        list::{ListKey, ListLease, ListOutcome},
    },
};

/// What sato of the bank asks for, before second 100.
fn asked(id: u8, subject: Subject, people: &[FollowerKey], second: i64) -> Approval {
    Approval {
        id: ApprovalId::from_bytes([id; 16]),
        company: named("bank"),
        subject,
        people: people.to_vec(),
        state: S::Waiting,
        asked_by: named("sato"),
        decided_by: None,
        ask_time: at(second),
        state_time: at(second),
        expire_time: at(100),
    }
}

fn export(id: u8, last: u8) -> Approval {
    asked(id, Subject::Export { account: named("bank") }, &[key("bank", last)], 1)
}

fn erase(id: u8, people: &[FollowerKey]) -> Approval {
    asked(id, Subject::Erase { people: u64::try_from(people.len()).unwrap() }, people, 1)
}

fn erasures(people: &[FollowerKey]) -> Vec<Erasure> {
    let erasure = |key: &FollowerKey| Erasure {
        account: key.account.clone(),
        follower: key.follower,
        company: named("bank"),
        cause: Cause::Company,
        request_time: at(5),
        ask_time: at(500),
    };
    people.iter().map(erasure).collect()
}

fn word(id: u8, verdict: Verdict, operator: &str) -> Word {
    Word { id: ApprovalId::from_bytes([id; 16]), verdict, asker: asker_of("bank", operator) }
}

fn refusal<T>(outcome: Result<T, StoreError>) -> (ErrorKind, String) {
    match outcome {
        Err(StoreError::Refused(error)) => (error.kind, error.field),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

fn not_yet() -> (ErrorKind, String) {
    (ErrorKind::FailedPrecondition, "approval_id".to_owned())
}

/// How many lines of the audit have this in them.
async fn told(store: &dyn Bench, what: &str) -> usize {
    store.audits().await.iter().filter(|line| line.contains(what)).count()
}

async fn get(store: &dyn Bench, id: u8) -> Approval {
    store.get_approval(&named("bank"), ApprovalId::from_bytes([id; 16])).await.unwrap()
}

pub(crate) async fn what_was_asked_for_waits_for_another_person(store: &dyn Bench) {
    let people = [key("bank", 1), key("bank", 2)];
    let first = store.ask_approval(&erase(1, &people)).await.unwrap();
    assert_eq!(first, erase(1, &people));
    let again = Approval { asked_by: named("kato"), ..erase(2, &people) };
    assert_eq!(store.ask_approval(&again).await.unwrap(), first, "the same, whoever asks");
    assert_eq!(told(store, "approval_asked").await, 1);
    let erasures = erasures(&people);
    let decide = async |word: Word| store.decide_approval(&word, &erasures, at(5)).await;
    for _ in 0..2 {
        assert_eq!(refusal(decide(word(1, Verdict::Approved, "sato")).await), not_yet(), "one's own");
    }
    assert_eq!(told(store, "approval_refused apv_01010101010101010101010101010101 erase 2 by sato").await, 2);
    let anothers = Word { asker: asker_of("power", "ito"), ..word(1, Verdict::Approved, "ito") };
    let nobodys = (ErrorKind::NotFound, "approval_id".to_owned());
    assert_eq!(refusal(decide(anothers).await), nobodys);
    assert_eq!(refusal(store.get_approval(&named("power"), first.id).await), nobodys);
    assert_eq!(get(store, 1).await, first);
    assert!(store.claim_erasures(at(50), at(70), 9).await.unwrap().is_empty(), "nobody is erased before");

    let done = decide(word(1, Verdict::Approved, "kato")).await.unwrap();
    assert_eq!((done.state, done.decided_by.as_ref()), (S::Done, Some(&named("kato"))));
    assert!(done.people.is_empty());
    assert_eq!(get(store, 1).await, done);
    assert_eq!(decide(word(1, Verdict::Approved, "kato")).await.unwrap(), done, "a call repeated");
    assert_eq!(refusal(decide(word(1, Verdict::Rejected, "ito")).await), not_yet());
    assert_eq!(told(store, "approval_granted").await, 1);
    assert_eq!(told(store, "erasure_asked company, by sato, approved by kato").await, 2);
    let mut due = store.claim_erasures(at(50), at(70), 9).await.unwrap();
    due.sort_by_key(|erasure| erasure.follower);
    assert_eq!(due, erasures);
    assert_eq!(store.ask_approval(&erase(3, &people)).await.unwrap().id, erase(3, &[]).id, "asked anew");
}

pub(crate) async fn two_approvers_at_once_do_it_once(store: &dyn Bench) {
    let people = [key("bank", 1)];
    store.ask_approval(&erase(1, &people)).await.unwrap();
    let erasures = erasures(&people);
    let names = ["kato", "ito", "mori", "abe"];
    let words = names.map(|name| word(1, Verdict::Approved, name));
    let deciding = words.iter().map(|word| store.decide_approval(word, &erasures, at(5)));
    let said = futures::future::join_all(deciding).await;
    let done: Vec<_> = said.iter().flatten().collect();
    assert_eq!(done.len(), 1, "{said:?}");
    for refused in said.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(refused), not_yet());
    }
    assert_eq!(told(store, "approval_granted").await, 1);
    assert_eq!(told(store, "erasure_asked").await, 1);
    let asking = (2..6).map(|id| async move { store.ask_approval(&erase(id, &[key("bank", 9)])).await });
    let ids: std::collections::BTreeSet<_> =
        futures::future::join_all(asking).await.into_iter().map(|asked| asked.unwrap().id).collect();
    assert_eq!(ids.len(), 1, "the same asked for at once is one");
}

pub(crate) async fn an_approved_export_is_given_once_to_who_asked(store: &dyn Bench) {
    follow(store, "bank", 1..=2).await;
    let one = key("bank", 1);
    let id = store.ask_approval(&export(1, 1)).await.unwrap().id;
    let give = async |operator: &str| {
        store.export_follower(&asker_of("bank", operator), &one, Reading::Exported(Some(id)), at(7)).await
    };
    let not_given = (ErrorKind::FailedPrecondition, String::new());
    assert_eq!(refusal(give("sato").await), not_given, "it waits");
    let approve = word(1, Verdict::Approved, "kato");
    let approved = store.decide_approval(&approve, &[], at(5)).await.unwrap();
    assert_eq!((approved.state, approved.people), (S::Approved, vec![one.clone()]));
    assert_eq!(
        store.ask_approval(&export(2, 1)).await.unwrap().state,
        S::Approved,
        "asked again, it is there"
    );
    for other in ["kato", "ito"] {
        assert_eq!(refusal(give(other).await), not_given, "only who asked");
    }
    assert!(give("sato").await.unwrap().is_some());
    assert_eq!(refusal(give("sato").await), not_given, "once");
    assert_eq!((get(store, 1).await.state, get(store, 1).await.people), (S::Done, vec![]));
    assert_eq!(told(store, &format!("follower_exported by sato, approved by kato as {id}")).await, 1);

    let taken_back = store.ask_approval(&export(3, 2)).await.unwrap().id;
    store.decide_approval(&word(3, Verdict::Approved, "kato"), &[], at(5)).await.unwrap();
    store.decide_approval(&word(3, Verdict::Rejected, "sato"), &[], at(6)).await.unwrap();
    let two = key("bank", 2);
    let given = store
        .export_follower(&asker_of("bank", "sato"), &two, Reading::Exported(Some(taken_back)), at(7))
        .await;
    assert_eq!(refusal(given), not_given);
    assert_eq!(told(store, "follower_exported").await, 1);
}

pub(crate) async fn what_nobody_decides_in_time_expires_and_names_nobody(store: &dyn Bench) {
    store.ask_approval(&export(1, 1)).await.unwrap();
    store.ask_approval(&erase(2, &[key("bank", 1)])).await.unwrap();
    store.ask_approval(&erase(3, &[key("bank", 2)])).await.unwrap();
    store.decide_approval(&word(1, Verdict::Approved, "kato"), &[], at(5)).await.unwrap();
    assert_eq!(store.expire_approvals(at(99), 9).await.unwrap(), 0);
    let late = store.decide_approval(&word(3, Verdict::Approved, "kato"), &[], at(100)).await;
    assert_eq!(refusal(late), not_yet(), "nobody has closed it yet, and it is over");
    let one = store.expire_approvals(at(100), 1).await.unwrap();
    assert_eq!(one + store.expire_approvals(at(100), 9).await.unwrap(), 0, "all are closed by the late word");
    for id in [1, 2, 3] {
        let expired = get(store, id).await;
        assert_eq!((expired.state, expired.people, expired.state_time), (S::Expired, vec![], at(100)));
    }
    assert_eq!(told(store, "approval_expired").await, 3);
    let anew = Approval { ask_time: at(101), expire_time: at(200), ..erase(4, &[key("bank", 1)]) };
    assert_eq!(store.ask_approval(&anew).await.unwrap().id, anew.id);
    assert_eq!(store.expire_approvals(at(200), 9).await.unwrap(), 1);
}

pub(crate) async fn what_was_asked_for_is_listed_in_pages(store: &dyn Bench) {
    for id in 1..=5 {
        store.ask_approval(&erase(id, &[key("bank", id)])).await.unwrap();
    }
    let anothers = Approval { company: named("power"), ..erase(6, &[key("power", 1)]) };
    store.ask_approval(&anothers).await.unwrap();
    store.decide_approval(&word(2, Verdict::Rejected, "kato"), &[], at(2)).await.unwrap();
    for (state, expected) in
        [(None, vec![1, 2, 3, 4, 5]), (Some(S::Waiting), vec![1, 3, 4, 5]), (Some(S::Rejected), vec![2])]
    {
        let mut read: Vec<Approval> = Vec::new();
        loop {
            let after = read.last().map(|approval| approval.id);
            let query = ApprovalQuery { company: named("bank"), state, after, limit: 2 };
            let page = store.list_approvals(&query).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        let ids: Vec<_> = read.iter().map(|approval| approval.id.as_bytes()[0]).collect();
        assert_eq!(ids, expected);
    }
}

/// The bank's list at alpha, quarantined with 7 of 9 missing.
async fn quarantined(store: &dyn Bench) -> ListLease {
    let lease = claim_list(store, &list("bank", "alpha"), 50).await.unwrap();
    let lacking = ListOutcome::Quarantined { followers: 9, missing: 7 };
    store.end_list(&lease, lacking, at(51)).await.unwrap();
    lease
}

pub(crate) async fn a_quarantined_list_is_released_as_it_was_shown(store: &dyn Bench) {
    let bank = list("bank", "alpha");
    let of = |list: &ListKey, id| {
        let ListKey { account, carrier } = list.clone();
        asked(id, Subject::Release { account, carrier, followers: 9, missing: 7 }, &[], 1)
    };
    store.ask_approval(&of(&bank, 1)).await.unwrap();
    let approve =
        |id| async move { store.decide_approval(&word(id, Verdict::Approved, "kato"), &[], at(60)).await };
    let stands = (ErrorKind::FailedPrecondition, String::new());
    assert_eq!(refusal(approve(1).await), stands, "it is not quarantined");
    assert_eq!(get(store, 1).await.state, S::Waiting);
    quarantined(store).await;
    let under_way = claim_list(store, &bank, 70).await;
    assert_eq!(under_way, None, "it was acquired a moment ago");
    assert_eq!(approve(1).await.unwrap().state, S::Done);
    let told_of = "list_released bank at alpha, 7 missing, by sato, approved by kato";
    assert_eq!(told(store, told_of).await, 1);
    let lease = claim_list(store, &bank, 70).await.unwrap();
    assert_eq!(lease.released, Some(7), "due at once, to be believed");

    // What was found before a release ends nothing after it.
    let lacking_more = ListOutcome::Quarantined { followers: 9, missing: 8 };
    store.release_list(&asker_of("bank", "kato"), &bank, 7, at(71)).await.unwrap();
    store.end_list(&lease, lacking_more, at(72)).await.unwrap();
    let lease = claim_list(store, &bank, 73).await.unwrap();
    assert_eq!(lease.released, Some(7));
    store.end_list(&lease, lacking_more, at(74)).await.unwrap();
    let shown = store.overview(&named("bank"), &[named("bank")]).await.unwrap().acquisitions;
    let quarantine = shown[0].quarantine.clone().unwrap();
    assert_eq!((quarantine.begin_time, quarantine.followers), (at(51), 9));
    assert_eq!((quarantine.missing, quarantine.released), (8, false), "more is missing than was released");
    store.release_list(&asker_of("bank", "kato"), &bank, 8, at(75)).await.unwrap();
    let lease = claim_list(store, &bank, 76).await.unwrap();
    let promoted = ListOutcome::Promoted { generation: 1, skipped: 0 };
    store.end_list(&lease, promoted, at(77)).await.unwrap();
    let shown = store.overview(&named("bank"), &[named("bank")]).await.unwrap().acquisitions;
    assert_eq!(shown[0].quarantine, None);
    let released = store.release_list(&asker_of("bank", "kato"), &bank, 8, at(78)).await;
    assert_eq!(refusal(released), stands);
    quarantined_is_out_of_reach(store).await;
}

/// Another company releases nothing of the bank's.
async fn quarantined_is_out_of_reach(store: &dyn Bench) {
    let bank = list("bank", "beta");
    let lease = claim_list(store, &bank, 50).await.unwrap();
    let lacking = ListOutcome::Quarantined { followers: 9, missing: 7 };
    store.end_list(&lease, lacking, at(51)).await.unwrap();
    let released = store.release_list(&asker_of("power", "kato"), &bank, 7, at(52)).await;
    assert_eq!(refusal(released), (ErrorKind::FailedPrecondition, String::new()));
}

pub(crate) async fn a_large_distribution_is_submitted_and_started_by_who_did_not_prepare_it(
    store: &dyn Bench,
) {
    follow(store, "bank", 1..=3).await;
    let id = draft(store, "bank", 1, &[("C1", "x")], 0).await;
    let bank = named("bank");
    let values = [(named("C2"), vec!["y".to_owned()])];
    store.put_values(&bank, id, &values, (&named("kato"), at(0))).await.unwrap();
    let prepared = store.get_distribution(&bank, id).await.unwrap().prepared_by;
    assert_eq!(prepared, [named("kato"), named("sato")]);
    let start = async |operator: &str, alone_up_to| {
        let order = order_of(Command::Start, operator, alone_up_to);
        store.command_distribution(&bank, id, &order, at(1)).await
    };
    let refused_at = |field: &str| (ErrorKind::FailedPrecondition, field.to_owned());
    for (operator, alone_up_to) in [("sato", 2), ("kato", 2), ("sato", 0)] {
        assert_eq!(refusal(start(operator, alone_up_to).await), refused_at("operator"));
    }
    assert_eq!(refusal(start("ito", 2).await), refused_at(""), "it was not submitted");
    assert_eq!(store.get_distribution(&bank, id).await.unwrap().state, State::Draft);
    assert_eq!(told(store, &format!("distribution_start_refused {id} by sato")).await, 2);
    let mori = order_of(Command::Submit, "mori", 2);
    store.command_distribution(&bank, id, &mori, at(1)).await.unwrap();
    assert_eq!(refusal(start("mori", 2).await), refused_at("operator"), "who submits it prepares it");
    assert_eq!(start("ito", 2).await.unwrap().state, State::Running);
    assert_eq!(start("sato", 2).await.unwrap().state, State::Running, "it runs already");
    assert_eq!(told(store, &format!("distribution_started {id} by ito")).await, 1);
    assert_eq!(told(store, &format!("distribution_values {id} 1 customers by kato")).await, 1);
    assert_eq!(store.count_following(&bank, &named("bank")).await.unwrap(), 3);
}

pub(crate) async fn what_was_looked_at_is_what_is_started(store: &dyn Bench) {
    let id = draft(store, "bank", 1, &[], 0).await;
    let bank = named("bank");
    let give = async |order: Order, second| store.command_distribution(&bank, id, &order, at(second)).await;
    let start = |looked_at| Order { looked_at: Some(at(looked_at)), ..order_of(Command::Start, "ito", 0) };
    let stale = (ErrorKind::FailedPrecondition, "submit_time".to_owned());
    give(order_of(Command::Submit, "sato", 0), 1).await.unwrap();
    give(order_of(Command::Return, "sato", 0), 2).await.unwrap();
    give(order_of(Command::Submit, "sato", 0), 3).await.unwrap();
    assert_eq!(refusal(give(start(1), 4).await), stale, "it is another by now");
    assert_eq!(told(store, &format!("distribution_start_refused {id} by ito")).await, 1);
    assert_eq!(give(start(3), 4).await.unwrap().state, State::Running);
    assert_eq!(give(start(1), 5).await.unwrap().state, State::Running, "it runs already");
    // Where one person may start a draft, what they looked at was submitted all the same.
    let draft = draft(store, "bank", 2, &[], 0).await;
    let alone = Order { looked_at: Some(at(1)), ..order_of(Command::Start, "ito", u64::MAX) };
    assert_eq!(refusal(store.command_distribution(&bank, draft, &alone, at(4)).await), stale);
}

//! Facts about what a unit of work concerns besides records: events, messages, guesses, dialogues and inquiries that are due.

use futures::future::join_all;
use musubi_domain::{
    customer::GivenAccount,
    delivery::{DeliveryState as D, Purpose, Signal},
    guess::{Axis, Count},
    id::{CompanyId, InquiryId, MessageId},
    identity::{AttestedIdentity, IdentityMethod},
};

use super::{
    Bench, at, attempts, change, deliver, dialogue_id, dialogues, distribute, follow, follower, key, keys,
    learn, load, named, number, of, put, request, result, state_of, states, tie, unit,
};
use crate::information::{
    FollowerKey,
    delivery::{AttemptOutcome, AttemptResult},
    flow::{Audit, DueInquiry, GuessKey, Inquiry, NewDelivery, OldestDue, Origin, Scope, Subscription, Work},
};

pub(crate) async fn a_follower_named_twice_is_loaded_once(store: &dyn Bench) {
    let mut twice = follower(1);
    twice.subscriptions.push(Subscription { carrier: named("beta"), following: false, change_time: at(3) });
    put(store, vec![(key("bank", 1), twice.clone())]).await;
    let loaded = load(store, vec![key("bank", 1), key("bank", 1), key("bank", 2)]).await;
    assert!(loaded.len() == 1 && loaded[&key("bank", 1)] == twice);
}

fn events(carrier: &str, ids: &[&str]) -> Scope {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    Scope { events: Some((named(carrier), ids)), ..Scope::default() }
}

/// Takes what was not taken before; gives it.
async fn take(store: &dyn Bench, scope: &Scope) -> Vec<String> {
    let mut taken = Vec::new();
    unit(store, scope, |work| {
        let (_, ids) = scope.events.as_ref().unwrap();
        work.taken = ids.iter().filter(|id| !work.seen.contains(*id)).cloned().collect();
        taken.clone_from(&work.taken);
    })
    .await;
    taken
}

pub(crate) async fn taken_events_are_seen_next_time_at_their_carrier(store: &dyn Bench) {
    assert_eq!(take(store, &events("alpha", &["1", "二"])).await, ["1", "二"]);
    assert_eq!(take(store, &events("alpha", &["1", "二", "3"])).await, ["3"]);
    assert_eq!(
        take(store, &events("beta", &["1", "3"])).await,
        ["1", "3"],
        "another carrier's ids are its own"
    );
    assert_eq!(take(store, &events("alpha", &["1", "1"])).await, [""; 0]);
}

pub(crate) async fn forgotten_events_are_new_again(store: &dyn Bench) {
    for (second, id) in [(0, "old"), (10, "new")] {
        let mut edit = |work: &mut Work| work.taken = vec![id.to_owned()];
        store.work("fact", &events("alpha", &[id]), at(second), &mut edit).await.unwrap();
    }
    assert_eq!(store.forget_events(at(10)).await.unwrap(), 1);
    assert_eq!(store.forget_events(at(10)).await.unwrap(), 0);
    assert_eq!(take(store, &events("alpha", &["old", "new"])).await, ["old"]);
}

pub(crate) async fn a_delivery_made_twice_exists_once(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let first = request(&key("bank", 1), 0);
    let mut other = request(&key("bank", 1), 0);
    (other.purpose, other.due_time, other.carrier) = (Purpose::Identity, at(500), named("beta"));
    deliver(store, &[first.clone(), other.clone()]).await;
    deliver(store, &[other, first.clone()]).await;
    let attempts = attempts(store, dialogues("bank"), 0).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].purpose, Purpose::Question, "the first one stands");
    deliver(store, std::slice::from_ref(&first)).await;
    assert_eq!(states(store, &[(first.key, first.message_id)]).await, [D::Sending]);
}

/// Takes receipts as an acquisition does: the messages that exist move forward.
async fn receive(store: &dyn Bench, receipts: &[(FollowerKey, MessageId, Signal)]) {
    let results = receipts.iter().map(|(key, message_id, signal)| AttemptResult {
        key: key.clone(),
        message_id: *message_id,
        attempt: 0,
        outcome: AttemptOutcome::Known(*signal),
    });
    learn(store, &results.collect::<Vec<_>>(), 0).await;
}

pub(crate) async fn receipts_move_states_and_tally_forward(store: &dyn Bench) {
    follow(store, "bank", 1..4).await;
    let all: Vec<_> = keys("bank", 1..4).iter().map(|key| request(key, 0)).collect();
    deliver(store, &all).await;
    let ids: Vec<_> = all.iter().map(|new| (new.key.clone(), new.message_id)).collect();
    let receipt = |index: usize, signal| (ids[index].0.clone(), ids[index].1, signal);
    receive(
        store,
        &[
            receipt(0, Signal::Delivered),
            receipt(0, Signal::Displayed),
            receipt(1, Signal::Displayed),
            receipt(1, Signal::Delivered),
            (key("bank", 3), MessageId::from_bytes([7; 16]), Signal::Delivered),
        ],
    )
    .await;
    assert_eq!(states(store, &ids).await, [D::Displayed, D::Displayed, D::Queued]);
    receive(store, &[receipt(2, Signal::Delivered), receipt(0, Signal::Delivered)]).await;
    let before = store.rows_written().await;
    receive(store, &[receipt(2, Signal::Delivered), receipt(0, Signal::Expired)]).await;
    assert_eq!(store.rows_written().await, before, "what they do twice is what they did once");
    assert_eq!(states(store, &ids).await, [D::Displayed, D::Displayed, D::Delivered]);
    assert!(attempts(store, dialogues("bank"), 0).await.is_empty(), "what the phone has is not sent");
}

pub(crate) async fn a_receipt_that_names_another_follower_moves_nothing(store: &dyn Bench) {
    follow(store, "bank", 1..3).await;
    follow(store, "power", [1]).await;
    let mine = request(&key("bank", 1), 0);
    deliver(store, std::slice::from_ref(&mine)).await;
    for wrong in [key("bank", 2), key("power", 1)] {
        receive(store, &[(wrong, mine.message_id, Signal::Displayed)]).await;
    }
    assert_eq!(states(store, &[(mine.key.clone(), mine.message_id)]).await, [D::Queued]);
    // The wrong ones stand beside the right one in a batch, and don't take its place.
    let receipt = |key: &FollowerKey| (key.clone(), mine.message_id, Signal::Delivered);
    receive(store, &[receipt(&key("bank", 2)), receipt(&mine.key), receipt(&key("power", 1))]).await;
    assert_eq!(states(store, &[(mine.key.clone(), mine.message_id)]).await, [D::Delivered]);
}

pub(crate) async fn withdrawing_revokes_what_no_carrier_has(store: &dyn Bench) {
    follow(store, "bank", 1..3).await;
    follow(store, "power", [1]).await;
    let (mine, theirs, elsewhere) = (key("bank", 1), key("bank", 2), key("power", 1));
    deliver(store, &[request(&mine, 0), request(&mine, 1)]).await;
    let sending = attempts(store, dialogues("bank"), 0).await;
    let accepted = AttemptOutcome::Known(Signal::Accepted);
    learn(store, &[result(&sending[0], accepted)], 1).await;
    let waiting = [&mine, &theirs, &elsewhere].map(|key| request(key, 2));
    deliver(store, &waiting).await;
    let distribution = distribute(store, "bank", 1, &[]).await;
    unit(store, &Scope::default(), |work| work.withdrawn = vec![mine.clone(), mine.clone()]).await;
    let of_mine: Vec<_> = sending.iter().map(|attempt| (mine.clone(), attempt.message_id)).collect();
    assert_eq!(states(store, &of_mine).await, [D::Accepted, D::Sending]);
    let waiting: Vec<_> = waiting.into_iter().map(|new| (new.key, new.message_id)).collect();
    assert_eq!(states(store, &waiting).await, [D::Revoked, D::Queued, D::Queued]);
    assert_eq!(state_of(store, distribution, &mine).await, D::Revoked);
    assert_eq!(state_of(store, distribution, &theirs).await, D::Queued);
}

pub(crate) async fn what_is_made_in_the_unit_of_a_withdrawal_stays(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let (old, new) = (request(&key("bank", 1), 0), request(&key("bank", 1), 1));
    deliver(store, std::slice::from_ref(&old)).await;
    unit(store, &of(keys("bank", [1])), |work| {
        work.withdrawn.push(key("bank", 1));
        work.deliveries.push(new.clone());
    })
    .await;
    let ids = [old, new].map(|new| (new.key, new.message_id));
    assert_eq!(states(store, &ids).await, [D::Revoked, D::Queued]);
}

pub(crate) async fn a_follower_has_at_most_one_live_tie(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let key = key("bank", 1);
    for customer in ["C1", "C2"] {
        let tie = tie(&key, customer);
        change(store, &key, |record| record.tie = Some(tie.clone())).await;
        assert!(load(store, vec![key.clone()]).await[&key].tie.as_ref() == Some(&tie));
    }
    change(store, &key, |record| record.tie = None).await;
    let untied = load(store, vec![key.clone()]).await;
    assert!(untied[&key] == follower(1), "the tie is gone and nothing else");
}

pub(crate) async fn guesses_are_counted_apart(store: &dyn Bench) {
    let guess = |company: &str, axis, subject: &[u8]| GuessKey {
        company: named(company),
        axis,
        subject: subject.to_owned(),
    };
    let guesses = vec![
        guess("bank", Axis::Follower, &[1; 16]),
        guess("bank", Axis::Account, &[1; 16]),
        guess("bank", Axis::Company, &[]),
        guess("power", Axis::Follower, &[1; 16]),
        guess("power", Axis::Company, &[]),
    ];
    let scope = Scope { guesses: guesses.clone(), ..Scope::default() };
    for round in 1..3 {
        unit(store, &scope, |work| {
            for (guess, charged) in guesses.iter().zip(1..5) {
                let window_end = (charged > 1).then(|| at(i64::from(charged)));
                work.guesses.insert(guess.clone(), Count { charged: charged * round, window_end });
            }
        })
        .await;
        unit(store, &scope, |work| {
            assert_eq!(work.guesses.len(), 4, "what was never charged has no count");
            for (guess, charged) in guesses.iter().zip(1..5) {
                assert_eq!(work.guesses[guess].charged, charged * round);
                assert_eq!(work.guesses[guess].window_end, (charged > 1).then(|| at(i64::from(charged))));
            }
        })
        .await;
    }
    let give_back = |work: &mut Work| work.guesses.values_mut().for_each(|count| *count = Count::default());
    unit(store, &scope, give_back).await;
    unit(store, &scope, |work| {
        let kept: Vec<_> = work.guesses.iter().collect();
        assert_eq!(kept, [(&guesses[2], &Count::default())], "of what counts nothing a company's row stays");
    })
    .await;
}

pub(crate) async fn counts_that_an_edit_lacks_are_loaded_for_it(store: &dyn Bench) {
    let guess = |axis| GuessKey { company: named("bank"), axis, subject: vec![7; 16] };
    let guesses = [guess(Axis::Company), guess(Axis::Person)];
    put(store, vec![(key("bank", 1), follower(1))]).await;
    let scope = Scope { followers: vec![key("bank", 1)], ..Scope::default() };
    for before in 0..3 {
        let mut runs = 0;
        unit(store, &scope, |work| {
            runs += 1;
            // What is thrown away with the first run, and would count twice.
            work.audits.push(Audit { company: None, key: None, action: "tried", detail: String::new() });
            if !guesses.iter().all(|guess| work.counted.contains(guess)) {
                work.uncounted = guesses.to_vec();
            }
            for guess in &guesses {
                let charged = work.guesses.get(guess).map_or(0, |count| count.charged);
                assert_eq!(charged, if work.uncounted.is_empty() { before } else { 0 });
                let count = Count { charged: charged + 1, window_end: Some(at(9)) };
                work.guesses.insert(guess.clone(), count);
            }
        })
        .await;
        assert_eq!(runs, 2);
    }
    let told = store.audit_lines(0, 100).await.unwrap();
    assert_eq!(told.iter().filter(|line| line.action == "tried").count(), 3);
}

/// Tries of many followers at one company at the same moment.
pub(crate) async fn tries_at_once_pass_no_limit_and_none_is_lost(store: &dyn Bench) {
    const LIMIT: u32 = 12;
    let company = GuessKey { company: named("bank"), axis: Axis::Company, subject: Vec::new() };
    let one = |last: u8, charge: bool| {
        let own = GuessKey { company: named("bank"), axis: Axis::Follower, subject: vec![last; 16] };
        let scope = Scope { guesses: vec![company.clone(), own.clone()], ..Scope::default() };
        let company = company.clone();
        async move {
            let mut may = false;
            unit(store, &scope, |work| {
                let count = work.guesses.get(&company).copied().unwrap_or_default();
                may = !charge || count.charged < LIMIT;
                let charged = match charge {
                    true => count.charged + u32::from(may),
                    false => count.charged - 1,
                };
                work.guesses.insert(company.clone(), Count { charged, window_end: Some(at(9)) });
                if may {
                    let window_end = charge.then(|| at(9));
                    work.guesses.insert(own.clone(), Count { charged: charge.into(), window_end });
                }
            })
            .await;
            may
        }
    };
    let charged = async || {
        let scope = Scope { guesses: vec![company.clone()], ..Scope::default() };
        let mut charged = 0;
        unit(store, &scope, |work| {
            charged = work.guesses.get(&company).copied().unwrap_or_default().charged;
        })
        .await;
        charged
    };
    for _ in 0..3 {
        let made = join_all((0..3 * LIMIT).map(|last| one(last as u8, true))).await;
        assert_eq!(made.iter().filter(|may| **may).count(), LIMIT as usize);
        assert_eq!(charged().await, LIMIT);
        let made = (0..).zip(made).filter(|(_, may)| *may);
        join_all(made.map(|(last, _)| one(last, false))).await;
        assert_eq!(charged().await, 0, "each is given back");
    }
}

/// The followers that are due now, and are not afterwards.
async fn due(store: &dyn Bench, second: i64, limit: u32) -> Vec<FollowerKey> {
    let mut found = Vec::new();
    let mut edit = |work: &mut Work| {
        found = work.followers.keys().cloned().collect();
        for record in work.followers.values_mut() {
            record.dialogue.as_mut().unwrap().due_time = None;
        }
    };
    let count = store.work_due(at(second), limit, &mut edit).await.unwrap();
    assert_eq!(count, u32::try_from(found.len()).unwrap());
    found.sort();
    found
}

pub(crate) async fn due_dialogues_come_in_order_up_to_the_limit(store: &dyn Bench) {
    let waiting = |last: u8, due: Option<i64>| {
        let mut record = follower(last);
        record.dialogue.as_mut().unwrap().due_time = due.map(at);
        record
    };
    let times = [Some(40), Some(10), None, Some(30), Some(20), Some(50)];
    put(store, (0..).zip(times).map(|(last, due)| (key("bank", last), waiting(last, due))).collect()).await;
    put(store, vec![(key("power", 0), waiting(0, Some(15)))]).await;
    assert_eq!(due(store, 9, 10).await, []);
    assert_eq!(due(store, 40, 2).await, [key("bank", 1), key("power", 0)], "whosever they are");
    assert_eq!(due(store, 40, 2).await, [key("bank", 3), key("bank", 4)]);
    assert_eq!(due(store, 40, 2).await, [key("bank", 0)]);
    assert_eq!(due(store, 40, 2).await, []);
    assert_eq!(due(store, 50, 2).await, [key("bank", 5)]);
}

/// Replicas ask at the same time; whoever comes second finds a dialogue moved, and must not move it again.
pub(crate) async fn a_dialogue_is_due_for_one_who_asks(store: &dyn Bench) {
    const ROUNDS: i64 = 20;
    let waiting = |last: u8| {
        let mut record = follower(last);
        record.dialogue.as_mut().unwrap().due_time = Some(at(0));
        (key("bank", last), record)
    };
    put(store, (0..250).map(waiting).collect()).await;
    for second in 0..ROUNDS {
        let asks = async || {
            let mut moves = |work: &mut Work| {
                for record in work.followers.values_mut() {
                    let dialogue = record.dialogue.as_mut().unwrap();
                    assert_eq!(dialogue.due_time, Some(at(second)), "moved before");
                    dialogue.due_time = Some(at(second + 1));
                }
            };
            while store.work_due(at(second), 10, &mut moves).await.unwrap() > 0 {}
        };
        join_all((0..4).map(|_| asks())).await;
    }
    assert_eq!(due(store, ROUNDS, 1_000).await.len(), 250);
}

fn inquiry(key: &FollowerKey, company: &str, due: i64) -> Inquiry {
    Inquiry {
        id: InquiryId::derive(dialogue_id(key), 0, at(0)),
        company: named(company),
        account: GivenAccount { branch_number: None, account_number: "0012345".to_owned() },
        identity: AttestedIdentity {
            method: IdentityMethod::Carrier,
            name: "山田 太郎".to_owned(),
            name_kana: None,
            birth_date: "1980-02-03".to_owned(),
            address: "東京都".to_owned(),
        },
        due_time: at(due),
    }
}

async fn inquire(store: &dyn Bench, account: &str, last: u8, company: &str, due: i64) -> Inquiry {
    let (key, mut record) = (key(account, last), follower(last));
    let inquiry = inquiry(&key, company, due);
    record.inquiry = Some(Box::new(inquiry.clone()));
    put(store, vec![(key, record)]).await;
    inquiry
}

async fn claim_inquiries(
    store: &dyn Bench,
    company: &str,
    second: i64,
    limit: u32,
) -> Vec<(FollowerKey, Inquiry)> {
    let claimed = store.claim_inquiries(&named(company), at(second), at(second + 60), limit).await.unwrap();
    let checked = claimed.into_iter().map(|DueInquiry { key, phone_number, inquiry }| {
        assert_eq!(phone_number, number(key.follower.as_bytes()[15]));
        (key, inquiry)
    });
    checked.collect()
}

pub(crate) async fn the_oldest_that_is_due_is_known_of_each_kind(store: &dyn Bench) {
    let oldest = async |companies: &[&str], second| {
        let companies: Vec<CompanyId> = companies.iter().map(|company| named(company)).collect();
        store.oldest_due(&companies, &[named("alpha"), named("beta")], at(second)).await.unwrap()
    };
    let both = ["bank", "power"];
    assert_eq!(oldest(&both, 1_000).await, OldestDue::default());
    for (account, due) in [("bank", 30), ("power", 20)] {
        inquire(store, account, 1, account, due).await;
    }
    assert_eq!(oldest(&both, 1_000).await.inquiry, Some(at(20)));
    assert_eq!(
        oldest(&["bank"], 1_000).await.inquiry,
        Some(at(30)),
        "of the companies that were asked about"
    );
    assert_eq!(oldest(&both, 19).await.inquiry, None, "nothing is due before its time");
    change(store, &key("power", 1), |record| record.dialogue.as_mut().unwrap().due_time = Some(at(9))).await;
    change(store, &key("bank", 1), |record| record.dialogue.as_mut().unwrap().due_time = Some(at(8))).await;
    assert_eq!(oldest(&[], 1_000).await.dialogue, Some(at(8)));
    assert_eq!(oldest(&[], 7).await.dialogue, None);
    let made = |count| NewDelivery { due_time: at(i64::from(count)), ..request(&key("bank", 1), count) };
    deliver(store, &[made(7), made(5)]).await;
    assert_eq!(oldest(&[], 1_000).await.message, Some(at(5)));
    assert_eq!(oldest(&[], 4).await.message, None);
}

pub(crate) async fn a_claimed_inquiry_waits_for_its_lease_to_end(store: &dyn Bench) {
    let mut asked = inquire(store, "bank", 1, "bank", 0).await;
    assert!(claim_inquiries(store, "bank", -1, 10).await.is_empty(), "not due yet");
    asked.due_time = at(60);
    assert!(claim_inquiries(store, "bank", 0, 10).await == [(key("bank", 1), asked.clone())]);
    assert!(claim_inquiries(store, "bank", 59, 10).await.is_empty());
    asked.due_time = at(120);
    assert!(claim_inquiries(store, "bank", 60, 10).await == [(key("bank", 1), asked.clone())]);
    assert!(load(store, keys("bank", [1])).await[&key("bank", 1)].inquiry == Some(Box::new(asked)));
    change(store, &key("bank", 1), |record| record.inquiry = None).await;
    assert!(claim_inquiries(store, "bank", 1_000, 10).await.is_empty(), "a decided one is gone");
}

pub(crate) async fn inquiries_go_to_their_own_company(store: &dyn Bench) {
    for (last, due) in [(1, 30), (2, 10), (3, 20)] {
        inquire(store, "bank", last, "bank", due).await;
    }
    inquire(store, "power", 1, "power", 0).await;
    let claimed = |claimed: Vec<(FollowerKey, Inquiry)>| {
        let mut keys: Vec<_> = claimed.into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    };
    assert_eq!(
        claimed(claim_inquiries(store, "bank", 40, 2).await),
        keys("bank", [2, 3]),
        "the longest due first"
    );
    assert_eq!(claimed(claim_inquiries(store, "bank", 40, 2).await), keys("bank", [1]));
    assert_eq!(claimed(claim_inquiries(store, "power", 40, 2).await), keys("power", [1]));
    assert_eq!(claimed(claim_inquiries(store, "rail", 40, 2).await), []);
}

pub(crate) async fn a_unit_tells_the_audit_and_the_acquisition(store: &dyn Bench) {
    let line = |key: Option<FollowerKey>, action, detail: &str| Audit {
        company: Some(named("bank")),
        key,
        action,
        detail: detail.to_owned(),
    };
    for _ in 0..2 {
        unit(store, &Scope::default(), |work| {
            work.audits = vec![line(Some(key("bank", 1)), "tied", "tie_1"), line(None, "list_promoted", "5")];
            work.added = vec![
                (key("bank", 1), named("alpha"), Origin::Event),
                (key("bank", 2), named("alpha"), Origin::List),
                (key("bank", 3), named("alpha"), Origin::List),
                (key("bank", 3), named("beta"), Origin::Event),
            ];
        })
        .await;
    }
    let tied = format!("bank bank {} tied tie_1", "01".repeat(16));
    let lines = [tied, "bank - - list_promoted 5".to_owned()];
    assert_eq!(store.audits().await, [lines.clone(), lines].concat());
    let overview = store.overview(&named("bank"), &[named("bank")]).await.unwrap();
    let added: Vec<_> = overview
        .acquisitions
        .iter()
        .map(|list| (list.carrier.as_str(), list.added_by_event, list.added_by_list))
        .collect();
    assert_eq!(added, [("alpha", 2, 4), ("beta", 2, 0)]);
}

//! Facts about followers as companies look at them.

use musubi_domain::{
    day::{Day, DayEvent},
    delivery::{DeliveryState, Purpose},
    dialogue::{Stage, State},
    eligibility::Held,
    id::FollowerId,
    identity::IdentityMethod,
    outcome::FollowerOutcome as O,
    silence::Doubt,
};

use super::{
    Bench, at, attempts, change, deliver, distribute, follow, follower, key, keys, named, of, put, request,
    tied,
};
use crate::information::{
    delivery::Source,
    flow::{Matched, Origin, Scope, Work},
    follower::{FollowerQuery, FollowerView, Funnel},
};

/// A follower of the bank's in every state of a dialogue, one without, and one who left.
async fn all_sorts(store: &dyn Bench) {
    let sorts = State::ALL.into_iter().map(Some).chain([None]);
    let followers = (1..).zip(sorts).map(|(last, state)| {
        let mut record = follower(last);
        record.dialogue = record.dialogue.zip(state).map(|(mut dialogue, state)| {
            dialogue.state = state;
            dialogue.reached = Stage::ALL[usize::from(last) % Stage::ALL.len()];
            dialogue.state_time = at(i64::from(last));
            dialogue
        });
        (key("bank", last), record)
    });
    let mut followers: Vec<_> = followers.collect();
    let mut gone = follower(99);
    gone.following = false;
    followers.push((key("bank", 99), gone));
    put(store, followers).await;
}

fn query(outcome: Option<O>, after: Option<u8>, limit: u32) -> FollowerQuery {
    let after = after.map(|last| FollowerId::from_bytes([last; 16]));
    FollowerQuery {
        company: named("bank"),
        operator: named("sato"),
        account: named("bank"),
        outcome,
        after,
        limit,
    }
}

async fn page(store: &dyn Bench, query: &FollowerQuery) -> Vec<FollowerView> {
    store.list_followers(query, at(0)).await.unwrap()
}

fn lasts(page: &[FollowerView]) -> Vec<u8> {
    page.iter().map(|view| view.follower.as_bytes()[0]).collect()
}

pub(crate) async fn a_funnel_counts_every_follower_once(store: &dyn Bench) {
    all_sorts(store).await;
    follow(store, "power", 1..=3).await;
    change(store, &key("power", 2), |record| record.carrier = named("beta")).await;
    // Whichever are asked about, a company hears of its own.
    let both = [named("bank"), named("power")];
    let [bank, power] = [
        store.overview(&named("bank"), &both).await.unwrap().funnels,
        store.overview(&named("power"), &both).await.unwrap().funnels,
    ];
    let size = |funnel: &Funnel| {
        let (reached, outcomes): (u64, u64) = (funnel.reached.values().sum(), funnel.outcomes.values().sum());
        assert_eq!(reached, outcomes);
        (funnel.account.to_string(), funnel.carrier.to_string(), reached)
    };
    let sized = |account: &str, carrier: &str, size| (account.to_owned(), carrier.to_owned(), size);
    assert_eq!(bank.iter().map(size).collect::<Vec<_>>(), [sized("bank", "alpha", 16)]);
    let of_power = [sized("power", "alpha", 2), sized("power", "beta", 1)];
    assert_eq!(power.iter().map(size).collect::<Vec<_>>(), of_power);
    let bank = &bank[0];
    for outcome in [O::Waiting, O::Unanswered, O::Unfollowed] {
        assert_eq!(bank.outcomes[&outcome], 2, "{outcome:?}");
    }
    assert_eq!((bank.outcomes[&O::Underway], bank.outcomes[&O::Confirmed]), (3, 1));
    // Followers 5 and 11 reached the last stage; those without a dialogue are at the first.
    assert_eq!(bank.reached[&Stage::Verified], 2);
    assert_eq!(store.overview(&named("power"), &[]).await.unwrap().funnels, []);
}

pub(crate) async fn messages_and_acquisitions_are_told_by_account_and_carrier(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    deliver(store, &[request(&key("bank", 1), 0)]).await;
    for id in [1, 2] {
        let id = distribute(store, "bank", id, &[]).await;
        attempts(store, Source::Distribution(id), 0).await;
    }
    let mut added = |work: &mut Work| {
        work.added = vec![
            (key("bank", 1), named("alpha"), Origin::List),
            (key("bank", 2), named("alpha"), Origin::List),
            (key("bank", 3), named("alpha"), Origin::Event),
        ];
    };
    store.work("fact", &Scope::default(), at(0), &mut added).await.unwrap();
    let overview = store.overview(&named("bank"), &[named("bank")]).await.unwrap();
    let messages: Vec<_> =
        overview.messages.iter().map(|count| (count.purpose, count.state, count.count)).collect();
    let expected =
        [(Purpose::Uniform, DeliveryState::Sending, 6), (Purpose::Question, DeliveryState::Queued, 1)];
    assert_eq!(messages, expected, "both distributions are added up");
    let acquired = &overview.acquisitions[0];
    assert_eq!((acquired.added_by_list, acquired.added_by_event, acquired.promote_time), (2, 1, None));
    assert_eq!(store.overview(&named("power"), &[named("power")]).await.unwrap(), Default::default());
}

pub(crate) async fn pages_go_by_follower_and_end(store: &dyn Bench) {
    follow(store, "bank", [3, 1, 5]).await;
    follow(store, "power", [2]).await;
    assert_eq!(lasts(&page(store, &query(None, None, 2)).await), [1, 3]);
    assert_eq!(lasts(&page(store, &query(None, Some(3), 2)).await), [5]);
    assert_eq!(page(store, &query(None, Some(5), 2)).await, []);
    let anothers = FollowerQuery { company: named("power"), ..query(None, None, 2) };
    assert_eq!(page(store, &anothers).await, [], "of another company's account there is nobody");
}

pub(crate) async fn an_outcome_filters_what_is_listed(store: &dyn Bench) {
    all_sorts(store).await;
    let all = page(store, &query(None, None, 100)).await;
    assert_eq!(all.len(), 16);
    for outcome in all.iter().map(|view| view.outcome) {
        let expected: Vec<_> = all.iter().filter(|view| view.outcome == outcome).cloned().collect();
        assert_eq!(page(store, &query(Some(outcome), None, 100)).await, expected, "{outcome:?}");
        let rest = page(store, &query(Some(outcome), Some(lasts(&expected)[0]), 100)).await;
        assert_eq!(rest, expected[1..]);
    }
}

pub(crate) async fn a_follower_is_told_with_the_customer_and_the_reasons(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    tied(store, "bank", &[(1, "C1")]).await;
    change(store, &key("bank", 1), |record| {
        record.tie.iter_mut().for_each(|tie| {
            tie.tie.holder = tie.tie.holder.doubted(Doubt::NotFound, at(0));
        });
        record.dialogue.iter_mut().for_each(|dialogue| {
            (dialogue.state, dialogue.state_time) = (State::Confirmed, at(9));
        });
    })
    .await;
    change(store, &key("bank", 2), |record| {
        record.dialogue.iter_mut().for_each(|dialogue| dialogue.state = State::Review);
        let reasons = vec!["kana.size".to_owned()];
        record.matched = Matched { proposed_customer: Some(named("C2")), reasons };
    })
    .await;
    change(store, &key("bank", 3), |record| record.follow_time = at(4)).await;
    let page = page(store, &query(None, None, 9)).await;
    let told: Vec<_> = page
        .iter()
        .map(|view| (view.outcome, view.customer_id.as_ref().map(ToString::to_string), view.held))
        .collect();
    let expected = [
        (O::Confirmed, Some("C1".to_owned()), Some(Held::Silent(Some(Doubt::NotFound)))),
        (O::Review, Some("C2".to_owned()), None),
        (O::Waiting, None, None),
    ];
    assert_eq!(told, expected);
    assert_eq!((page[0].outcome_time, page[0].phone_number), (at(9), super::number(1)));
    assert_eq!(page[1].reasons, ["kana.size"]);
    assert_eq!((page[2].follow_time, page[2].carrier.as_str()), (at(4), "alpha"));
}

/// What happened to a company's followers since a day: of which account, on which day, what, how often.
async fn days(store: &dyn Bench, since: Day) -> Vec<(String, Day, DayEvent, u64)> {
    let both = [named("bank"), named("power")];
    let counted = store.days(&named("bank"), &both, since).await.unwrap();
    counted.into_iter().map(|it| (it.account.to_string(), it.day, it.event, it.count)).collect()
}

pub(crate) async fn what_happens_in_a_day_is_counted_once_and_forgotten_in_time(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    follow(store, "power", [9]).await;
    let (first, of_bank) = (Day::of(at(0)), |day, event, count| ("bank".to_owned(), day, event, count));
    assert_eq!(days(store, first).await, [of_bank(first, DayEvent::Came, 3)], "and of no other company");
    tied(store, "bank", &[(1, "C1")]).await;
    let next = at(86_400);
    let mut edit = |work: &mut Work| {
        let [one, other] = [1, 2].map(|last| key("bank", last));
        work.followers.get_mut(&one).unwrap().tie = None;
        let dialogue = work.followers.get_mut(&other).unwrap().dialogue.as_mut().unwrap();
        dialogue.reached = Stage::Answered;
    };
    for _ in 0..2 {
        // The second time nothing happens.
        store.work("fact", &of(keys("bank", 1..=3)), next, &mut edit).await.unwrap();
    }
    let second = Day::of(next);
    let of_second = [DayEvent::Asked, DayEvent::Answered, DayEvent::Untied];
    let of_second = of_second.map(|event| of_bank(second, event, 1));
    let confirmed = of_bank(first, DayEvent::Confirmed(IdentityMethod::Jpki), 1);
    let all = [vec![of_bank(first, DayEvent::Came, 3), confirmed], of_second.to_vec()].concat();
    assert_eq!(days(store, first).await, all);
    assert_eq!(days(store, second).await, of_second);
    store.forget_days(second).await.unwrap();
    assert_eq!(days(store, first).await, of_second);
}

pub(crate) async fn every_page_is_in_the_audit(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    let mut after = None;
    for _ in 0..3 {
        after = lasts(&page(store, &query(None, after, 2)).await).last().copied();
    }
    let listed = |line: &&String| line.contains("followers_listed") && line.contains("bank");
    assert_eq!(store.audits().await.iter().filter(listed).count(), 3, "the empty last page too");
}

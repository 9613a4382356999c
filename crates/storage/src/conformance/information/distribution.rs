//! Facts about distributions as companies ask for them.

use jiff::Timestamp;
use musubi_domain::{
    ErrorKind,
    delivery::{DeliveryState, Purpose},
    distribution::{Command, State},
    id::{CustomerId, DistributionId},
    postback::Button,
    template::{Template, Variable, VariableKind},
};
use uuid::Uuid;

use super::{
    Bench, at, attempts, balanced, change, command, distribute, draft, follow, key, named, order, order_of,
    tied, unit, walk,
};
use crate::{
    StoreError,
    information::{
        delivery::Source,
        distribution::{Distribution, NewDistribution, Preview, Templates},
        flow::Scope,
    },
};

fn asked(id: u8, request: u128, digest: u8) -> NewDistribution {
    let variables = vec![Variable { name: "due".to_owned(), kind: VariableKind::Yen }];
    NewDistribution {
        id: DistributionId::from_bytes([id; 16]),
        company: named("bank"),
        account: named("bank"),
        request_id: Uuid::from_u128(request),
        digest: [digest; 32],
        name: "通知".to_owned(),
        templates: Templates {
            uniform: Template::parse("お知らせ", Vec::new(), Vec::new()).unwrap(),
            individual: Some(Template::parse("{due} です", Vec::new(), variables).unwrap()),
        },
        start_time: None,
        expire_time: None,
        messages_per_second: 7,
        operator: named("sato"),
    }
}

fn refusal<T>(outcome: Result<T, StoreError>) -> (ErrorKind, String) {
    match outcome {
        Err(StoreError::Refused(error)) => (error.kind, error.field),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

fn value(customer: &str, value: &str) -> (CustomerId, Vec<String>) {
    (named(customer), vec![value.to_owned()])
}

async fn get(store: &dyn Bench, id: DistributionId) -> Distribution {
    store.get_distribution(&named("bank"), id).await.unwrap()
}

pub(crate) async fn the_same_request_gives_the_same_draft_and_another_is_refused(store: &dyn Bench) {
    let made = store.create_distribution(&asked(1, 1, 1), at(0)).await.unwrap();
    assert_eq!((made.id, made.state, made.create_time), (asked(1, 1, 1).id, State::Draft, at(0)));
    let again = store.create_distribution(&asked(2, 1, 1), at(5)).await.unwrap();
    assert_eq!(again, made);
    let refused = refusal(store.create_distribution(&asked(3, 1, 2), at(5)).await);
    assert_eq!(refused, (ErrorKind::AlreadyExists, "request_id".to_owned()));
    let other_company = NewDistribution { company: named("power"), ..asked(4, 1, 2) };
    assert_eq!(store.create_distribution(&other_company, at(5)).await.unwrap().id, other_company.id);
    let created = |line: &&String| line.contains("distribution_created");
    assert_eq!(store.audits().await.iter().filter(created).count(), 2);
}

pub(crate) async fn a_draft_that_would_have_expired_is_refused_but_not_its_repetition(store: &dyn Bench) {
    let new = NewDistribution { expire_time: Some(at(10)), ..asked(1, 1, 1) };
    let refused = refusal(store.create_distribution(&new, at(10)).await);
    assert_eq!(refused, (ErrorKind::InvalidArgument, "expire_time".to_owned()));
    let made = store.create_distribution(&new, at(9)).await.unwrap();
    assert_eq!(store.create_distribution(&new, at(10)).await.unwrap(), made);
    let started = store.command_distribution(&new.company, new.id, &order(Command::Start), at(10)).await;
    assert_eq!(refusal(started), (ErrorKind::FailedPrecondition, "expire_time".to_owned()));
    assert_eq!(get(store, new.id).await.state, State::Draft);
}

pub(crate) async fn a_customer_whose_values_come_twice_counts_once(store: &dyn Bench) {
    let new = asked(1, 1, 1);
    store.create_distribution(&new, at(0)).await.unwrap();
    let by = named("sato");
    let sato = (&by, at(0));
    let put = |values: Vec<_>| async move {
        store.put_values(&named("bank"), new.id, &values, sato).await.unwrap()
    };
    assert_eq!(put(vec![value("C1", "1"), value("C2", "2"), value("C1", "3")]).await, 2);
    assert_eq!(put(vec![value("C2", "4"), value("C3", "5")]).await, 3);
    assert_eq!(put(Vec::new()).await, 3);
    assert_eq!(get(store, asked(1, 1, 1).id).await.values, 3);
    follow(store, "bank", 1..=3).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2"), (3, "C3")]).await;
    let preview =
        store.preview_distribution(&named("bank"), asked(1, 1, 1).id, &named("sato"), at(0)).await.unwrap();
    assert!(preview.samples == [["3"], ["4"], ["5"]], "the last values stand");
}

pub(crate) async fn only_drafts_take_values(store: &dyn Bench) {
    let id = draft(store, "bank", 1, &[("C1", "x")], 0).await;
    for state in [Command::Start, Command::Pause, Command::Cancel] {
        command(store, "bank", id, state).await;
        let refused =
            refusal(store.put_values(&named("bank"), id, &[value("C2", "y")], (&named("sato"), at(0))).await);
        assert_eq!(refused.0, ErrorKind::FailedPrecondition);
    }
    assert_eq!(get(store, id).await.values, 1);
}

pub(crate) async fn commands_are_obeyed_once_and_are_in_the_audit(store: &dyn Bench) {
    let id = draft(store, "bank", 1, &[], 0).await;
    for (given, state, word) in [
        (Command::Submit, State::Submitted, "distribution_submitted"),
        (Command::Return, State::Draft, "distribution_returned"),
        (Command::Start, State::Running, "distribution_started"),
        (Command::Pause, State::Paused, "distribution_paused"),
        (Command::Resume, State::Running, "distribution_resumed"),
        (Command::Cancel, State::Cancelled, "distribution_cancelled"),
    ] {
        for _ in 0..2 {
            let stands = store.command_distribution(&named("bank"), id, &order(given), at(1)).await.unwrap();
            assert_eq!(stands.state, state);
            assert_eq!(stands, get(store, id).await, "what is told is what is stored");
        }
        assert_eq!(store.audits().await.iter().filter(|line| line.contains(word)).count(), 1, "{word}");
    }
    assert_eq!(get(store, id).await.end_time, Some(at(1)));
    let refused =
        refusal(store.command_distribution(&named("bank"), id, &order(Command::Start), at(1)).await);
    assert_eq!(refused.0, ErrorKind::FailedPrecondition);
}

pub(crate) async fn a_start_sets_the_times_once(store: &dyn Bench) {
    let new = asked(1, 1, 1);
    store.create_distribution(&new, at(0)).await.unwrap();
    let starts = order(Command::Start);
    let start = |second| store.command_distribution(&new.company, new.id, &starts, at(second));
    let times = |stands: Distribution| (stands.start_time, stands.expire_time);
    let day_later = |from: Timestamp| from + musubi_domain::distribution::DEFAULT_DURATION;
    assert_eq!(times(start(5).await.unwrap()), (Some(at(5)), Some(day_later(at(5)))));
    assert_eq!(times(start(9).await.unwrap()), (Some(at(5)), Some(day_later(at(5)))));
}

pub(crate) async fn what_is_submitted_takes_no_values_until_it_is_sent_back(store: &dyn Bench) {
    let id = draft(store, "bank", 1, &[("C1", "x")], 0).await;
    let bank = named("bank");
    let ito = order_of(Command::Submit, "ito", 0);
    let submitted = store.command_distribution(&bank, id, &ito, at(1)).await.unwrap();
    assert_eq!(submitted.submitted, Some((named("ito"), at(1))));
    assert_eq!(submitted.prepared_by, [named("ito"), named("sato")]);
    let again = order_of(Command::Submit, "kato", 0);
    assert_eq!(store.command_distribution(&bank, id, &again, at(2)).await.unwrap(), submitted);
    let (kato, values) = (named("kato"), [value("C2", "y")]);
    let put = || store.put_values(&bank, id, &values, (&kato, at(3)));
    assert_eq!(refusal(put().await).0, ErrorKind::FailedPrecondition);

    let returned = store.command_distribution(&bank, id, &order(Command::Return), at(4)).await.unwrap();
    assert_eq!((returned.state, &returned.submitted, returned.values), (State::Draft, &None, 1));
    assert_eq!(put().await.unwrap(), 2);
    let submitted = store.command_distribution(&bank, id, &ito, at(5)).await.unwrap();
    assert_eq!((submitted.submitted, submitted.values), (Some((named("ito"), at(5))), 2));
    command(store, "bank", id, Command::Start).await;
    let stands = get(store, id).await;
    assert_eq!((stands.state, stands.submitted), (State::Running, Some((named("ito"), at(5)))), "it is kept");

    // What would be over before it began is told to who submits it.
    let over = NewDistribution { expire_time: Some(at(10)), ..asked(2, 2, 2) };
    store.create_distribution(&over, at(0)).await.unwrap();
    let refused = store.command_distribution(&bank, over.id, &ito, at(10)).await;
    assert_eq!(refusal(refused), (ErrorKind::FailedPrecondition, "expire_time".to_owned()));
    let told = store.audits().await;
    for (line, times) in [
        (format!("distribution_submitted {id} by ito"), 2),
        (format!("distribution_returned {id} by sato"), 1),
        (format!("distribution_submitted {id} by kato"), 0),
    ] {
        assert_eq!(told.iter().filter(|told| told.contains(&line)).count(), times, "{line}");
    }
}

pub(crate) async fn another_company_sees_no_distribution(store: &dyn Bench) {
    let id = draft(store, "bank", 1, &[("C1", "x")], 0).await;
    let power = named("power");
    let not_found = (ErrorKind::NotFound, "distribution_id".to_owned());
    assert_eq!(refusal(store.get_distribution(&power, id).await), not_found);
    assert_eq!(
        refusal(store.put_values(&power, id, &[value("C2", "y")], (&named("sato"), at(0))).await),
        not_found
    );
    assert_eq!(refusal(store.preview_distribution(&power, id, &named("sato"), at(0)).await), not_found);
    for given in Command::ALL {
        assert_eq!(refusal(store.command_distribution(&power, id, &order(given), at(0)).await), not_found);
    }
    assert_eq!(store.list_distributions(&power, (None, None), 10).await.unwrap(), []);
    let stands = get(store, id).await;
    assert_eq!((stands.state, stands.values), (State::Draft, 1));
}

pub(crate) async fn distributions_are_listed_newest_first(store: &dyn Bench) {
    for (id, account) in [(1, "bank"), (2, "other"), (3, "bank")] {
        let new = NewDistribution { account: named(account), ..asked(id, u128::from(id), id) };
        store.create_distribution(&new, at(0)).await.unwrap();
    }
    let list = |account: Option<&'static str>, limit| async move {
        let account = account.map(named);
        let found = store.list_distributions(&named("bank"), (account.as_ref(), None), limit).await.unwrap();
        found.iter().map(|distribution| distribution.id.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, [3, 2, 1]);
    assert_eq!(list(None, 2).await, [3, 2]);
    assert_eq!(list(Some("bank"), 10).await, [3, 1]);
    assert!(list(Some("unknown"), 10).await.is_empty());
}

pub(crate) async fn distributions_are_listed_by_where_they_stand(store: &dyn Bench) {
    for (id, account) in [(1, "bank"), (2, "other"), (3, "bank"), (4, "bank")] {
        let new = NewDistribution { account: named(account), ..asked(id, u128::from(id), id) };
        store.create_distribution(&new, at(0)).await.unwrap();
    }
    draft(store, "power", 5, &[], 0).await;
    for id in 1..=3 {
        command(store, "bank", asked(id, 0, 0).id, Command::Submit).await;
    }
    let list = |account: Option<&'static str>, state, limit| async move {
        let account = account.map(named);
        let which = (account.as_ref(), Some(state));
        let found = store.list_distributions(&named("bank"), which, limit).await.unwrap();
        found.iter().map(|distribution| distribution.id.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(list(None, State::Submitted, 10).await, [3, 2, 1]);
    assert_eq!(list(None, State::Submitted, 2).await, [3, 2]);
    assert_eq!(list(Some("bank"), State::Submitted, 10).await, [3, 1]);
    assert_eq!(list(None, State::Draft, 10).await, [4]);
    assert!(list(None, State::Running, 10).await.is_empty());
}

pub(crate) async fn templates_read_back_as_they_were_given(store: &dyn Bench) {
    for (id, individual) in [(1, true), (2, false)] {
        let mut new = asked(id, u128::from(id), id);
        new.templates.individual = new.templates.individual.filter(|_| individual);
        store.create_distribution(&new, at(0)).await.unwrap();
        assert_eq!(store.get_templates(new.id).await.unwrap(), new.templates);
    }
    let unknown = store.get_templates(DistributionId::from_bytes([9; 16])).await;
    assert_eq!(refusal(unknown).0, ErrorKind::NotFound);
}

pub(crate) async fn a_preview_is_what_is_sent(store: &dyn Bench) {
    follow(store, "bank", 1..=9).await;
    let ties =
        [(1, "C1"), (2, "C2"), (3, "C3"), (4, "C4"), (5, "C5"), (6, "C6"), (7, "C11"), (8, "C8"), (9, "C10")];
    tied(store, "bank", &ties).await;
    change(store, &key("bank", 3), |record| record.following = false).await;
    let edit_tie = |last, edit: fn(&mut crate::information::flow::TieRecord)| async move {
        change(store, &key("bank", last), |record| record.tie.iter_mut().for_each(edit)).await;
    };
    edit_tie(4, |tie| tie.tie.suspended = true).await;
    change(store, &key("bank", 7), |record| record.suspended = true).await;
    edit_tie(5, |tie| tie.tie.expire_time = at(0)).await;
    edit_tie(9, |tie| tie.tie.holder.silent_time = at(0)).await;
    follow(store, "power", [1]).await;
    tied(store, "power", &[(1, "C9")]).await;
    let values = ["C1", "C2", "C3", "C4", "C5", "C7", "C8", "C9", "C10", "C11"]
        .map(|customer| (customer, if ["C1", "C2", "C8"].contains(&customer) { "x" } else { "n" }));
    let id = draft(store, "bank", 1, &values, 0).await;
    let preview = store.preview_distribution(&named("bank"), id, &named("sato"), at(0)).await.unwrap();
    // Followers 1, 2 and 8 get theirs; 4, 5, 7 and 9 on a doubt not; 6 has no values; C3 left, C7 never came, C9 is another's.
    let expected = Preview {
        individual: 3,
        uniform: 5,
        confirmed_without_values: 1,
        values_without_follower: 3,
        samples: vec![vec!["x".to_owned()]; 3],
    };
    assert_eq!(preview, expected);
    assert!(store.audits().await.iter().any(|line| line.contains("distribution_previewed")));

    command(store, "bank", id, Command::Start).await;
    assert_eq!(walk(store, id, 100, 0).await.0, 8);
    let sent = attempts(store, Source::Distribution(id), 0).await;
    let said = |purpose| sent.iter().filter(|attempt| attempt.purpose == purpose).count() as u64;
    assert_eq!((said(Purpose::Individual), said(Purpose::Uniform)), (preview.individual, preview.uniform));
    let individual = sent.iter().filter(|attempt| attempt.purpose == Purpose::Individual);
    assert!(individual.map(|attempt| attempt.values.clone()).collect::<Vec<_>>() == preview.samples);
}

pub(crate) async fn every_tap_is_counted_by_button_and_distribution(store: &dyn Bench) {
    let (one, other) = (distribute(store, "bank", 1, &[]).await, distribute(store, "bank", 2, &[]).await);
    let button = |distribution, individual, place| Button { distribution, individual, place };
    let [first, second, uniform] = [button(one, true, 0), button(one, true, 1), button(one, false, 0)];
    for taps in [vec![first, second, first], vec![uniform, first], vec![]] {
        unit(store, &Scope::default(), |work| work.taps.clone_from(&taps)).await;
    }
    let mut taps = get(store, one).await.taps;
    taps.sort();
    assert_eq!(taps, [(uniform, 1), (first, 3), (second, 1)]);
    assert_eq!(get(store, other).await.taps, []);
    let listed = store.list_distributions(&named("bank"), (None, None), 10).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.taps.len()).sum::<usize>(), 3);
}

pub(crate) async fn counts_tell_where_deliveries_stand(store: &dyn Bench) {
    follow(store, "bank", 1..=4).await;
    let (one, other) = (distribute(store, "bank", 1, &[]).await, distribute(store, "bank", 2, &[]).await);
    attempts(store, Source::Distribution(one), 0).await;
    assert_eq!(get(store, one).await.deliveries, [(Purpose::Uniform, DeliveryState::Sending, 4)]);
    assert_eq!(get(store, other).await.deliveries, [(Purpose::Undecided, DeliveryState::Queued, 4)]);
    let listed = store.list_distributions(&named("bank"), (None, None), 10).await.unwrap();
    assert_eq!(listed, [get(store, other).await, get(store, one).await]);
    balanced(store).await;
}

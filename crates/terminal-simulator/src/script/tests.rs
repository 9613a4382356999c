//! Every story at every step that it can reach, before every message: what happens is written here, and nothing else may.

use std::fmt::Write as _;

use musubi_proto::{
    carrier::v1::{Follow, SuggestionTapped, TextTyped, Unfollow},
    r#type::v1::{Content, OpenUrl},
};

use super::*;

fn button(label: &str, page: Option<&str>) -> Suggestion {
    let open = |page: &str| suggestion::Action::OpenUrl(OpenUrl { url: page.to_owned(), webview: true });
    Suggestion { text: label.to_owned(), postback: format!("postback of {label}"), action: page.map(open) }
}

fn message(traffic_type: TrafficType, suggestions: Vec<Suggestion>) -> IncomingMessage {
    IncomingMessage {
        content: Some(Content { text: "本文".to_owned(), suggestions, card: None }),
        traffic_type: traffic_type.into(),
        ..IncomingMessage::default()
    }
}

fn question_buttons() -> Vec<Suggestion> {
    vec![button("確認する", None), button("口座なし", Some("https://open.a.jp/1")), button("しない", None)]
}

fn messages() -> Vec<(&'static str, IncomingMessage)> {
    let step = |suggestions| message(TrafficType::ServiceRequest, suggestions);
    let jpki = || button("カード", Some("https://jpki.a.jp/1"));
    let carrier = || button("暗証番号", Some("https://carrier.a.jp/1"));
    let document = || button("書類", Some("https://document.a.jp/1"));
    vec![
        ("question", step(question_buttons())),
        ("account", step(vec![])),
        ("identity", step(vec![jpki(), carrier(), document()])),
        ("identity without jpki", step(vec![carrier()])),
        ("confirmed", step(vec![button("連携を解除する", None), button("本人ではありません", None)])),
        ("again", step(vec![button("もう一度", None)])),
        ("two buttons", step(vec![button("甲", None), button("乙", None)])),
        ("question as transaction", message(TrafficType::Transaction, question_buttons())),
        ("account as promotion", message(TrafficType::Promotion, vec![])),
        ("nothing said", message(TrafficType::Unspecified, vec![button("連携を解除する", None)])),
        ("no content", IncomingMessage { traffic_type: TrafficType::Promotion.into(), ..step(vec![]) }),
    ]
}

fn tell(deed: Deed<'_>) -> String {
    match deed {
        Deed::Tap(button) => format!("tap {}", button.text),
        Deed::Type(text) => format!("type {text}"),
        Deed::Open(page) => format!("open {page}"),
        Deed::Authenticate(page) => format!("authenticate {page}"),
        Deed::Unfollow => "unfollow".to_owned(),
    }
}

fn script(reply: Reply, unfollow_after: UnfollowAfter) -> Script {
    Script { reply, account_text: "1234567".into(), method: Some(IdentityMethod::Jpki), unfollow_after }
}

/// Everything that a carrier can confirm.
fn confirmations() -> [What; 4] {
    [
        What::Follow(Follow {}),
        What::Tapped(SuggestionTapped::default()),
        What::Typed(TextTyped::default()),
        What::Unfollow(Unfollow {}),
    ]
}

/// What happens in a story, a line for each step and message; a message that isn't told there changes nothing.
fn play(script: &Script) -> String {
    let mut steps = vec![Step::Joining];
    let mut told = String::new();
    let mut at = 0;
    while let Some(&step) = steps.get(at) {
        at += 1;
        let mut nexts: Vec<Step> = confirmations().iter().map(|what| confirmed(step, what)).collect();
        for (name, message) in messages() {
            let (next, deeds) = react(script, step, &recognise(&message));
            nexts.push(next);
            if next != step || !deeds.is_empty() {
                let deeds: Vec<_> = deeds.into_iter().map(tell).collect();
                writeln!(told, "{step:?}, {name}: {} -> {next:?}", deeds.join(", ")).unwrap();
            }
        }
        for next in nexts {
            if !steps.contains(&next) {
                steps.push(next);
            }
        }
    }
    told.replace(":  ->", ": ->")
        .replace("Identity { typed: ", "Identity(")
        .replace("Verifying { opened: ", "Verifying(")
        .replace(" }", ")")
}

#[track_caller]
fn check(reply: Reply, unfollow_after: UnfollowAfter, told: &str) {
    let happened = play(&script(reply, unfollow_after));
    assert_eq!(happened.trim_end(), told.trim(), "\n{happened}");
}

#[test]
fn who_confirms_taps_types_and_authenticates_three_times_at_most() {
    check(Reply::Confirm, UnfollowAfter::Never, CONFIRMS);
}

const CONFIRMS: &str = "
Joining, question: tap 確認する -> Account
Following, question: tap 確認する -> Account
Account, account: type 1234567 -> Identity(1)
Account, identity: tap カード, authenticate https://jpki.a.jp/1 -> Verifying(1)
Account, identity without jpki: -> Finished
Account, confirmed: -> Finished
Account, again: -> Finished
Identity(1), account: type 1234567 -> Identity(2)
Identity(1), identity: tap カード, authenticate https://jpki.a.jp/1 -> Verifying(1)
Identity(1), identity without jpki: -> Finished
Identity(1), confirmed: -> Finished
Identity(1), again: -> Finished
Verifying(1), account: -> Finished
Verifying(1), identity: tap カード, authenticate https://jpki.a.jp/1 -> Verifying(2)
Verifying(1), identity without jpki: -> Finished
Verifying(1), confirmed: -> Finished
Verifying(1), again: -> Finished
Verifying(1), two buttons: -> Finished
Identity(2), account: type 1234567 -> Identity(3)
Identity(2), identity: tap カード, authenticate https://jpki.a.jp/1 -> Verifying(1)
Identity(2), identity without jpki: -> Finished
Identity(2), confirmed: -> Finished
Identity(2), again: -> Finished
Verifying(2), account: -> Finished
Verifying(2), identity: tap カード, authenticate https://jpki.a.jp/1 -> Verifying(3)
Verifying(2), identity without jpki: -> Finished
Verifying(2), confirmed: -> Finished
Verifying(2), again: -> Finished
Verifying(2), two buttons: -> Finished
Identity(3), account: -> Finished
Identity(3), identity: tap カード, authenticate https://jpki.a.jp/1 -> Verifying(1)
Identity(3), identity without jpki: -> Finished
Identity(3), confirmed: -> Finished
Identity(3), again: -> Finished
Verifying(3), account: -> Finished
Verifying(3), identity: -> Finished
Verifying(3), identity without jpki: -> Finished
Verifying(3), confirmed: -> Finished
Verifying(3), again: -> Finished
Verifying(3), two buttons: -> Finished";

#[test]
fn who_declines_taps_once() {
    check(
        Reply::Decline,
        UnfollowAfter::Never,
        "
Joining, question: tap しない -> Asked
Following, question: tap しない -> Asked",
    );
}

#[test]
fn who_has_no_account_taps_and_looks_at_the_page() {
    check(
        Reply::NoAccount,
        UnfollowAfter::Never,
        "
Joining, question: tap 口座なし, open https://open.a.jp/1 -> Asked
Following, question: tap 口座なし, open https://open.a.jp/1 -> Asked",
    );
}

#[test]
fn who_ignores_has_done_all_when_the_question_was_shown() {
    check(
        Reply::Ignore,
        UnfollowAfter::Never,
        "
Joining, question: -> Finished
Following, question: -> Finished",
    );
}

#[test]
fn who_leaves_at_the_question_does_nothing_else_whatever_the_reply() {
    for reply in Reply::ALL {
        check(
            *reply,
            UnfollowAfter::Question,
            "
Joining, question: unfollow -> Leaving
Following, question: unfollow -> Leaving",
        );
    }
}

#[test]
fn who_leaves_when_confirmed_differs_only_there() {
    let stays = play(&script(Reply::Confirm, UnfollowAfter::Never));
    let leaves = play(&script(Reply::Confirm, UnfollowAfter::Confirmed));
    let other: Vec<_> = leaves.lines().filter(|line| !stays.contains(line)).collect();
    let told = "
Account, confirmed: unfollow -> Leaving
Identity(1), confirmed: unfollow -> Leaving
Verifying(1), confirmed: unfollow -> Leaving
Finished, confirmed: unfollow -> Leaving
Identity(2), confirmed: unfollow -> Leaving
Verifying(2), confirmed: unfollow -> Leaving
Identity(3), confirmed: unfollow -> Leaving
Verifying(3), confirmed: unfollow -> Leaving";
    assert_eq!(other.join("\n"), told.trim());
}

#[test]
fn a_carrier_confirms_the_follow_the_last_tap_and_the_unfollow() {
    let steps = (0..=u8::MAX).filter_map(Step::from_code);
    let told: Vec<_> = steps
        .flat_map(|step| confirmations().map(|what| (step, confirmed(step, &what))))
        .filter(|(step, next)| step != next)
        .collect();
    let due =
        [(Step::Joining, Step::Following), (Step::Asked, Step::Finished), (Step::Leaving, Step::Finished)];
    assert_eq!(told, due);
}

#[test]
fn a_step_survives_the_database() {
    let steps: Vec<_> = (0..=u8::MAX).filter_map(|code| Some((code, Step::from_code(code)?))).collect();
    assert!(steps.iter().all(|(code, step)| step.code() == *code));
    assert_eq!(steps.len(), 14, "six alone, and two that count from 0 to 3");
    assert!(steps.iter().all(|(_, step)| Step::WORDS.contains(&step.word())));
}

#[test]
fn a_method_is_offered_by_the_first_label_of_a_host_and_nothing_else() {
    for (page, method) in [
        ("https://jpki.kumo.example/v?n=1", Some(IdentityMethod::Jpki)),
        ("https://carrier.kumo.example/v", Some(IdentityMethod::Carrier)),
        ("https://document.kumo.example", Some(IdentityMethod::Document)),
        ("https://kumo.example/jpki.html", None),
        ("https://xjpki.kumo.example/v", None),
        ("https://jpki/v.html", None),
        ("http://jpki.kumo.example/v", None),
    ] {
        assert!(offer(&button("証明", Some(page))).map(|offer| offer.method) == method, "{page}");
    }
    assert!(offer(&button("証明", None)).is_none());
}

#[test]
fn three_verifiers_are_no_question_and_two_plain_buttons_beside_a_page_are_one() {
    let page = |label: &str| button(label, Some("https://carrier.a.jp/1"));
    let of = |buttons| message(TrafficType::ServiceRequest, buttons);
    assert!(matches!(recognise(&of(vec![page("甲"), page("乙"), page("丙")])), Seen::Identity(_)));
    let question = of(vec![button("甲", None), page("乙"), button("丙", None)]);
    assert!(matches!(recognise(&question), Seen::Question { .. }));
    let late = of(vec![page("甲"), button("乙", None), button("丙", None)]);
    assert!(matches!(recognise(&late), Seen::Identity(_)));
}

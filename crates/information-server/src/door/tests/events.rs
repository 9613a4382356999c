//! Events: each taken once, or refused by its field.

use super::*;

fn field(taken: Taken) -> String {
    match taken {
        Taken::Refused(error) => error.field,
        Taken::Now | Taken::Before => panic!("not refused"),
    }
}

#[tokio::test]
async fn an_event_has_its_effect_once() {
    let it = Fixture::new().await;
    let follow = it.event(What::Followed(Followed {}));
    assert_eq!(it.take("kumo", follow.clone()).await, Taken::Now);
    assert_eq!(it.take("kumo", follow.clone()).await, Taken::Before);
    let twice = it.event(What::Unfollowed(Unfollowed {}));
    it.clock.advance(SignedDuration::from_secs(1));
    let taken = it.events.take(&id("kumo"), vec![twice.clone(), twice]).await.unwrap();
    assert_eq!(taken, [Taken::Now, Taken::Before]);
    assert_eq!(it.state().await, State::Ended);
}

/// Messages that wait to be sent, of one number at one account.
async fn queued(it: &Fixture) -> u64 {
    let overview = it.store.overview(&id("bank"), &[id("bank")]).await.unwrap();
    overview.messages.iter().filter(|it| it.state == DeliveryState::Queued).map(|it| it.count).sum()
}

#[tokio::test]
async fn who_follows_is_asked_with_it_unless_they_have_left_again() {
    let it = Fixture::new().await;
    let mut at = it.clock.now();
    let mut event = |what| {
        at += SignedDuration::from_secs(1);
        CarrierEvent { event_time: Some(timestamp(at)), ..it.event(what) }
    };
    let (follow, leave) = (|| What::Followed(Followed {}), || What::Unfollowed(Unfollowed {}));
    let mut calls =
        [vec![follow()], vec![leave()], vec![follow(), leave()], vec![leave(), follow()]].into_iter();
    for (state, waiting) in [(State::Asked, 1), (State::Ended, 0), (State::Ended, 0), (State::Asked, 1)] {
        let events = calls.next().unwrap().into_iter().map(&mut event).collect();
        assert!(it.events.take(&id("kumo"), events).await.unwrap().iter().all(|taken| *taken == Taken::Now));
        assert_eq!((it.state().await, queued(&it).await), (state, waiting));
    }
}

#[tokio::test]
async fn who_follows_in_quiet_hours_is_asked_by_nobody_before_they_end() {
    let quiet = QuietHours::parse("11:00-13:00", "Asia/Tokyo").unwrap();
    let it = Fixture::with(Rules { quiet_hours: quiet, ..Rules::default() }).await;
    for event in
        [What::Followed(Followed {}), What::Responded(Responded { how: Some(How::Text("?".to_owned())) })]
    {
        it.take("kumo", it.event(event)).await;
        let dialogue = it.record().await.unwrap().dialogue.unwrap();
        let end = "2026-11-23T04:00:00Z".parse().unwrap();
        assert_eq!((dialogue.state, dialogue.due_time, queued(&it).await), (State::Waiting, Some(end), 0));
    }
}

#[tokio::test]
async fn malformed_events_are_refused_by_field_and_change_nothing() {
    let it = Fixture::new().await;
    it.asked().await;
    let before = it.record().await;
    let follow = || it.event(What::Followed(Followed {}));
    let receipt = |message_id: &str, kind: ReceiptKind| {
        What::Receipt(Receipt { message_id: message_id.to_owned(), kind: kind.into() })
    };
    let says = |how| What::Responded(Responded { how });
    let unknown =
        MessageId::of_dialogue(before.clone().unwrap().dialogue.unwrap().id, 7, Timestamp::UNIX_EPOCH)
            .to_string();
    let long = "あ".repeat(3073);
    for (over, event, at) in [
        ("kumo", CarrierEvent { event_id: String::new(), ..follow() }, "event_id"),
        ("kumo", CarrierEvent { event_id: "e".repeat(101), ..follow() }, "event_id"),
        ("kumo", CarrierEvent { official_account: "nobody".to_owned(), ..follow() }, "official_account"),
        ("kumo", CarrierEvent { official_account: "gas".to_owned(), ..follow() }, "official_account"),
        ("kumo", CarrierEvent { msisdn: "08012345678".to_owned(), ..follow() }, "msisdn"),
        ("kumo", CarrierEvent { event_time: None, ..follow() }, "event_time"),
        ("kumo", CarrierEvent { what: None, ..follow() }, "what"),
        ("kumo", it.event(says(None)), "responded.how"),
        ("kumo", it.event(says(Some(How::Text(String::new())))), "responded.text"),
        ("kumo", it.event(says(Some(How::Text(long)))), "responded.text"),
        ("kumo", it.event(says(Some(How::Postback("forged".to_owned())))), "responded.postback"),
        ("kumo", it.event(says(Some(How::Postback("p".repeat(3000))))), "responded.postback"),
        ("kumo", it.event(receipt("msg_1", ReceiptKind::Delivered)), "receipt.message_id"),
        ("kumo", it.event(receipt(&unknown, ReceiptKind::Delivered)), "receipt.message_id"),
        ("kumo", it.event(receipt(&unknown, ReceiptKind::Unspecified)), "receipt.kind"),
    ] {
        assert_eq!(field(it.take(over, event).await), at);
        assert_eq!(it.record().await, before, "{at}");
    }
}

#[tokio::test]
async fn bad_events_do_not_hold_up_their_neighbours() {
    let it = Fixture::new().await;
    let bad = CarrierEvent { msisdn: "110".to_owned(), ..it.event(What::Followed(Followed {})) };
    let taken = it.events.take(&id("kumo"), vec![bad, it.event(What::Followed(Followed {}))]).await.unwrap();
    assert!(matches!(taken[..], [Taken::Refused(_), Taken::Now]));
}

#[tokio::test]
async fn calls_that_are_taken_together_are_each_told_of_their_own_events() {
    let it = Fixture::new().await;
    let (follow, carrier) = (it.event(What::Followed(Followed {})), id("kumo"));
    let bad = CarrierEvent { msisdn: "110".to_owned(), ..follow.clone() };
    let receipt = Receipt { message_id: "msg_1".to_owned(), kind: ReceiptKind::Delivered.into() };
    let receipt = it.event(What::Receipt(receipt));
    let other = CarrierEvent { msisdn: "+818099999999".to_owned(), ..it.event(What::Followed(Followed {})) };
    // The first is under way while the others come.
    let (first, second, third) = tokio::join!(
        it.events.take(&carrier, vec![follow.clone()]),
        it.events.take(&carrier, vec![bad, follow.clone(), receipt, other.clone()]),
        it.events.take(&carrier, vec![other, follow]),
    );
    assert_eq!(first.unwrap(), [Taken::Now]);
    assert!(matches!(second.unwrap()[..], [Taken::Refused(_), Taken::Before, Taken::Refused(_), Taken::Now]));
    assert_eq!(third.unwrap(), [Taken::Before, Taken::Before]);
}

#[tokio::test]
async fn late_repeated_and_foreign_taps_change_nothing() {
    let it = Fixture::new().await;
    it.asked().await;
    let confirm = it.postback(Choice::Confirm).await;
    let decline = it.postback(Choice::Decline).await;
    assert_eq!(it.say(How::Postback(confirm.clone())).await, Taken::Now);
    assert_eq!(it.state().await, State::AccountAsked);
    let before = it.record().await;
    for late in [confirm, decline.clone()] {
        assert_eq!(it.say(How::Postback(late)).await, Taken::Now, "a late tap is taken");
        assert_eq!(it.record().await, before, "and has no effect");
    }
    // The same button in another person's talk room.
    let other = CarrierEvent { msisdn: "+818099999999".to_owned(), ..it.event(What::Followed(Followed {})) };
    it.take("kumo", other.clone()).await;
    let stolen = What::Responded(Responded { how: Some(How::Postback(decline)) });
    let stolen = CarrierEvent { msisdn: other.msisdn, ..it.event(stolen) };
    assert_eq!(field(it.take("kumo", stolen).await), "responded.postback");
    // A key that isn't ours.
    let forged = TokenKey::new(&[9; 32]).unwrap();
    let dialogue = before.unwrap().dialogue.unwrap();
    let forged = forged.seal_postback(&Postback {
        dialogue: dialogue.id,
        step: dialogue.step,
        choice: Choice::Confirm,
    });
    assert_eq!(field(it.say(How::Postback(forged)).await), "responded.postback");
}

#[tokio::test]
async fn a_tap_of_a_distributions_button_is_taken_in_its_own_talk_room_and_moves_nothing() {
    let it = Fixture::new().await;
    it.asked().await;
    let before = it.record().await.unwrap();
    let button = Button { distribution: DistributionId::from_bytes([5; 16]), individual: true, place: 1 };
    let tap = it.tokens.seal_button(&button, it.key().follower);
    assert_eq!(it.say(How::Postback(tap)).await, Taken::Now);
    assert_eq!(it.record().await.unwrap(), before);
    let stolen = it.tokens.seal_button(&button, FollowerId::from_bytes([9; 16]));
    assert_eq!(field(it.say(How::Postback(stolen)).await), "responded.postback");
}

#[tokio::test]
async fn who_is_not_the_customer_says_so_with_one_tap_of_the_live_tie() {
    let it = Fixture::new().await;
    it.waiting_for_identity().await;
    it.tell(&musubi_domain::dialogue::Event::Verified).await;
    let scope = Scope { followers: vec![it.key()], ..Scope::default() };
    let tie = |work: &mut musubi_storage::information::flow::Work| {
        let record = work.followers.get_mut(&it.key()).unwrap();
        let dialogue = record.dialogue.as_ref().unwrap();
        let tie = Tie {
            id: TieId::derive(dialogue.id),
            customer_id: id("C1"),
            suspended: false,
            expire_time: Timestamp::MAX,
            holder: Silence::of_days(30).proved(it.clock.now()),
        };
        record.tie = Some(TieRecord { tie, method: IdentityMethod::Jpki, tie_time: it.clock.now() });
    };
    it.store.work("tie", &scope, it.clock.now(), &mut { tie }).await.unwrap();
    let matched = musubi_domain::customer::MatchOutcome::Confirmed;
    it.tell(&musubi_domain::dialogue::Event::Matched(matched)).await;
    let before = it.record().await.unwrap();
    let live = before.tie.as_ref().unwrap().tie.id;
    let forged = TokenKey::new(&[9; 32]).unwrap().seal_not_me(live);
    let foreign = it.tokens.seal_not_me(TieId::from_bytes([7; 16]));
    for wrong in [forged, foreign] {
        assert_eq!(field(it.say(How::Postback(wrong)).await), "responded.postback");
        assert_eq!(it.record().await.unwrap(), before);
    }

    let not_me = it.tokens.seal_not_me(live);
    assert_eq!(it.say(How::Postback(not_me.clone())).await, Taken::Now);
    let after = it.record().await.unwrap();
    assert!(after.tie.is_none() && after.following);
    assert_eq!(after.former_customer, Some(id("C1")));
    assert_eq!(
        after.dialogue.as_ref().map(|it| (it.state, it.turn)),
        Some((State::Asked, 1)),
        "asked afresh"
    );
    assert_eq!(it.say(How::Postback(not_me)).await, Taken::Now, "once more is taken");
    assert_eq!(it.record().await.unwrap(), after, "and has no effect");
}

#[tokio::test]
async fn answers_of_strangers_are_refused() {
    let it = Fixture::new().await;
    assert_eq!(field(it.say(How::Text("1234567".to_owned())).await), "msisdn");
    assert_eq!(it.record().await, None);
}

#[tokio::test]
async fn a_receipt_before_the_acceptance_counts() {
    let it = Fixture::new().await;
    it.asked().await;
    let record = it.record().await.unwrap();
    let dialogue = record.dialogue.unwrap();
    let message = MessageId::of_dialogue(dialogue.id, 0, dialogue.state_time);
    let receipt = Receipt { message_id: message.to_string(), kind: ReceiptKind::Displayed.into() };
    assert_eq!(it.take("kumo", it.event(What::Receipt(receipt))).await, Taken::Now);
    let overview =
        it.store.overview(&it.key().account.as_str().parse().unwrap(), &[it.key().account]).await.unwrap();
    let displayed = overview.messages.iter().filter(|it| it.state == DeliveryState::Displayed);
    assert_eq!(displayed.map(|it| it.count).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_clock_that_is_a_day_ahead_is_the_most_that_is_believed() {
    let it = Fixture::new().await;
    for (ahead, taken) in [(86_401, false), (86_400, true)] {
        let time = it.clock.now() + SignedDuration::from_secs(ahead);
        let event =
            CarrierEvent { event_time: Some(timestamp(time)), ..it.event(What::Followed(Followed {})) };
        assert_eq!(it.take("kumo", event).await == Taken::Now, taken);
        assert_eq!(it.record().await.is_some(), taken);
    }
}

//! `musubi.carrier.v1`: official accounts and lists, messages, numbers, handsets, verification.

use musubi_domain::{
    Error,
    ErrorKind::{InvalidArgument, NotFound},
    id::MessageId,
};
use musubi_proto::{
    carrier::v1::{
        Action, AuthenticateRequest, Authentication, CheckNumbersRequest, FetchSubscriberListRequest, Follow,
        MessageDelivered, MessageDisplayed, NumberCheck, OutgoingMessage, Person, PutOfficialAccountRequest,
        ReceiveMessagesRequest, RegisterPersonsRequest, RevokeMessagesRequest, SendDecision,
        SendMessagesRequest, SubmitActionsRequest, SuggestionTapped, TextTyped, action::What,
        handset_service_client::HandsetServiceClient, message_service_client::MessageServiceClient,
        number_service_client::NumberServiceClient,
        subscriber_list_service_client::SubscriberListServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    r#type::v1::{Card, Content, Dial, IdentityMethod, OpenUrl, Suggestion, TrafficType, suggestion},
};
use musubi_runtime::grpc::status::from_status;
use prost_types::Timestamp;
use uuid::Uuid;

use super::{
    probe::{NUMBER, PERSONAL, Probes, Wrong, items, long, whole},
    world::{BANK, FLEET, FOLLOWERS, KUMO, World},
};

pub(super) async fn probe(world: &World, probes: &mut Probes) {
    lists(world, probes).await;
    sending(world, probes).await;
    revoking(world, probes).await;
    numbers(world, probes).await;
    actions(world, probes).await;
    persons(world, probes).await;
    pages(world, probes).await;
}

async fn lists(world: &World, probes: &mut Probes) {
    let client = SubscriberListServiceClient::new(world.system.channel_of("information", KUMO));

    let good = PutOfficialAccountRequest { official_account: BANK.to_owned(), display_name: BANK.to_owned() };
    let call = async |request| whole(client.clone().put_official_account(request).await);
    let table: [Wrong<PutOfficialAccountRequest>; 6] = [
        ("official_account", InvalidArgument, |request| request.official_account.clear()),
        ("official_account", InvalidArgument, |request| request.official_account = "a".repeat(64)),
        ("official_account", InvalidArgument, |request| request.official_account = PERSONAL.to_owned()),
        ("display_name", InvalidArgument, |request| request.display_name.clear()),
        ("display_name", InvalidArgument, |request| request.display_name = long(101)),
        ("display_name", InvalidArgument, |request| request.display_name = "a\0b".to_owned()),
    ];
    probes.ask(world, "PutOfficialAccount", &good, call, &table).await;

    let good = FetchSubscriberListRequest { official_account: BANK.to_owned() };
    let call = async |request| {
        let answer = client.clone().fetch_subscriber_list(request).await;
        let mut parts = answer.map_err(|status| from_status(&status))?.into_inner();
        while parts.message().await.map_err(|status| from_status(&status))?.is_some() {}
        Ok(())
    };
    let table: [Wrong<FetchSubscriberListRequest>; 3] = [
        ("official_account", InvalidArgument, |request| request.official_account.clear()),
        ("official_account", InvalidArgument, |request| request.official_account = long(64)),
        ("official_account", NotFound, |request| request.official_account = "nobody".to_owned()),
    ];
    probes.ask(world, "FetchSubscriberList", &good, call, &table).await;
}

fn message_id(last: u8) -> String {
    MessageId::from_bytes([last; 16]).to_string()
}

async fn sending(world: &World, probes: &mut Probes) {
    let client = MessageServiceClient::new(world.system.channel_of("information", KUMO));
    let button =
        |action| Suggestion { text: "見る".to_owned(), postback: "p".to_owned(), action: Some(action) };
    let page = OpenUrl { url: "https://bank.test/".to_owned(), webview: true };
    let dial = Dial { phone_number: "+81312345678".to_owned() };
    let message = OutgoingMessage {
        message_id: message_id(1),
        msisdn: FOLLOWERS[0].0.to_owned(),
        content: Some(Content {
            card: Some(Card {
                title: "お知らせ".to_owned(),
                image_url: "https://bank.test/x.png".to_owned(),
            }),
            text: "お知らせ".to_owned(),
            suggestions: vec![
                button(suggestion::Action::OpenUrl(page)),
                button(suggestion::Action::Dial(dial)),
            ],
        }),
        traffic_type: TrafficType::Promotion.into(),
        expire_time: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
    };
    let good = SendMessagesRequest { official_account: BANK.to_owned(), messages: vec![message] };
    let call = async |request| {
        let answer = client.clone().send_messages(request).await;
        for (index, verdict) in
            answer.map_err(|status| from_status(&status))?.into_inner().verdicts.into_iter().enumerate()
        {
            match verdict.decision() {
                SendDecision::Accepted | SendDecision::Duplicate => {}
                SendDecision::Unspecified
                | SendDecision::Refused
                | SendDecision::Throttled
                | SendDecision::Unreachable => {
                    let (field, rest) = verdict.reason.split_once(": ").unwrap_or_default();
                    let (problem, remedy) = rest.split_once("; ").unwrap_or_default();
                    return Err(Error::invalid(format!("messages[{index}].{field}"), problem, remedy));
                }
            }
        }
        Ok(())
    };
    // A message id that was seen before is a duplicate whatever else comes, so that the wrong ones have another.
    fn fresh(request: &mut SendMessagesRequest) -> &mut OutgoingMessage {
        request.messages[0].message_id = message_id(2);
        &mut request.messages[0]
    }
    fn content(request: &mut SendMessagesRequest) -> &mut Content {
        fresh(request).content.as_mut().unwrap()
    }
    let table: [Wrong<SendMessagesRequest>; 32] = [
        ("official_account", InvalidArgument, |it| it.official_account.clear()),
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("messages", InvalidArgument, |it| it.messages = vec![it.messages[0].clone(); 1_001]),
        ("messages.message_id", InvalidArgument, |it| it.messages[0].message_id.clear()),
        ("messages.message_id", InvalidArgument, |it| it.messages[0].message_id = long(9_000)),
        ("messages.msisdn", InvalidArgument, |it| fresh(it).msisdn.clear()),
        ("messages.msisdn", InvalidArgument, |it| fresh(it).msisdn = NUMBER.to_owned()),
        ("messages.content", InvalidArgument, |it| fresh(it).content = None),
        ("messages.content.card", InvalidArgument, |it| content(it).card = Some(Card::default())),
        ("messages.content.card.title", InvalidArgument, |it| {
            content(it).card.as_mut().unwrap().title = long(201);
        }),
        ("messages.content.card.image_url", InvalidArgument, |it| {
            content(it).card.as_mut().unwrap().image_url = "http://bank.test/x.png".to_owned();
        }),
        ("messages.content.text", InvalidArgument, |it| content(it).text.clear()),
        ("messages.content.text", InvalidArgument, |it| content(it).text = long(3_073)),
        ("messages.content.text", InvalidArgument, |it| content(it).text = "漏\0".to_owned()),
        ("messages.content.suggestions", InvalidArgument, |it| {
            content(it).suggestions = vec![Suggestion::default(); 12];
        }),
        ("messages.content.suggestions.text", InvalidArgument, |it| content(it).suggestions[0].text.clear()),
        ("messages.content.suggestions.text", InvalidArgument, |it| {
            content(it).suggestions[0].text = long(26)
        }),
        ("messages.content.suggestions.postback", InvalidArgument, |it| {
            content(it).suggestions[0].postback = long(2_049);
        }),
        ("messages.content.suggestions.open_url.url", InvalidArgument, |it| {
            open(content(it), "");
        }),
        ("messages.content.suggestions.open_url.url", InvalidArgument, |it| {
            open(content(it), "http://bank.test/");
        }),
        ("messages.content.suggestions.open_url.url", InvalidArgument, |it| {
            open(content(it), "javascript:alert(1)");
        }),
        ("messages.content.suggestions.open_url.url", InvalidArgument, |it| {
            open(content(it), &format!("https://bank.test/{}", "a".repeat(2_048)));
        }),
        ("messages.content.suggestions.dial.phone_number", InvalidArgument, |it| {
            let dial = Dial { phone_number: NUMBER.to_owned() };
            content(it).suggestions[1].action = Some(suggestion::Action::Dial(dial));
        }),
        ("messages.content.suggestions.dial.phone_number", InvalidArgument, |it| {
            content(it).suggestions[1].action = Some(suggestion::Action::Dial(Dial::default()));
        }),
        ("messages.traffic_type", InvalidArgument, |it| fresh(it).traffic_type = 0),
        ("messages.traffic_type", InvalidArgument, |it| fresh(it).traffic_type = 99),
        ("messages.expire_time", InvalidArgument, |it| fresh(it).expire_time = Some(Timestamp::default())),
        ("messages.expire_time", InvalidArgument, |it| {
            fresh(it).expire_time = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
        }),
        ("messages.expire_time", InvalidArgument, |it| {
            fresh(it).expire_time = Some(Timestamp { seconds: i64::MIN, nanos: i32::MIN });
        }),
        ("messages.expire_time", InvalidArgument, |it| {
            fresh(it).expire_time = Some(Timestamp { seconds: 4_000_000_000, nanos: -1 });
        }),
        ("official_account", InvalidArgument, |it| it.official_account = PERSONAL.to_owned()),
        ("messages.content.suggestions.text", InvalidArgument, |it| {
            content(it).suggestions[1].text = "漏\0".to_owned();
        }),
    ];
    probes.ask(world, "SendMessages", &good, call, &table).await;
}

fn open(content: &mut Content, url: &str) {
    let page = OpenUrl { url: url.to_owned(), webview: true };
    content.suggestions[0].action = Some(suggestion::Action::OpenUrl(page));
}

async fn revoking(world: &World, probes: &mut Probes) {
    let client = MessageServiceClient::new(world.system.channel_of("information", KUMO));
    let good = RevokeMessagesRequest { official_account: BANK.to_owned(), message_ids: vec![message_id(1)] };
    // What is no id was never seen, and so it can't be taken back.
    let call = async |request: RevokeMessagesRequest| {
        let answer = client.clone().revoke_messages(request).await;
        match answer.map_err(|status| from_status(&status))?.into_inner().revoked.iter().all(|it| *it) {
            true => Ok(()),
            false => Err(Error::invalid("message_ids", "not taken back", "name another")),
        }
    };
    let table: [Wrong<RevokeMessagesRequest>; 6] = [
        ("official_account", InvalidArgument, |it| it.official_account.clear()),
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("message_ids", InvalidArgument, |it| it.message_ids = vec![message_id(1); 1_001]),
        ("message_ids", InvalidArgument, |it| it.message_ids = vec![String::new()]),
        ("message_ids", InvalidArgument, |it| it.message_ids = vec![long(9_000)]),
        ("message_ids", InvalidArgument, |it| it.message_ids = vec![message_id(9)]),
    ];
    probes.ask(world, "RevokeMessages", &good, call, &table).await;
}

async fn numbers(world: &World, probes: &mut Probes) {
    let client = NumberServiceClient::new(world.system.channel_of("information", KUMO));
    let check = NumberCheck { msisdn: FOLLOWERS[0].0.to_owned(), specified_date: "2026-11-28".to_owned() };
    let good = CheckNumbersRequest { checks: vec![check] };
    let call = async |request| whole(client.clone().check_numbers(request).await);
    fn second(request: &mut CheckNumbersRequest) -> &mut NumberCheck {
        request.checks.push(request.checks[0].clone());
        &mut request.checks[1]
    }
    let table: [Wrong<CheckNumbersRequest>; 7] = [
        ("checks", InvalidArgument, |it| it.checks = vec![it.checks[0].clone(); 1_001]),
        ("checks.msisdn", InvalidArgument, |it| second(it).msisdn.clear()),
        ("checks.msisdn", InvalidArgument, |it| second(it).msisdn = NUMBER.to_owned()),
        ("checks.specified_date", InvalidArgument, |it| second(it).specified_date.clear()),
        ("checks.specified_date", InvalidArgument, |it| second(it).specified_date = "2026-11-31".to_owned()),
        ("checks.specified_date", InvalidArgument, |it| second(it).specified_date = PERSONAL.to_owned()),
        ("checks.specified_date", InvalidArgument, |it| second(it).specified_date = long(9_000)),
    ];
    probes.ask(world, "CheckNumbers", &good, call, &table).await;
}

async fn actions(world: &World, probes: &mut Probes) {
    let client = HandsetServiceClient::new(world.system.channel_of("phones", KUMO));
    let action = Action {
        msisdn: FOLLOWERS[0].0.to_owned(),
        official_account: BANK.to_owned(),
        what: Some(What::Follow(Follow {})),
    };
    let good = SubmitActionsRequest {
        batch_id: Uuid::from_u128(7).to_string(),
        fleet: FLEET.to_owned(),
        actions: vec![action],
    };
    /// A batch that wasn't applied before, with a second action of this kind.
    fn second(request: &mut SubmitActionsRequest, what: What) -> &mut Action {
        request.batch_id = Uuid::from_u128(8).to_string();
        request.actions.push(Action { what: Some(what), ..request.actions[0].clone() });
        &mut request.actions[1]
    }
    fn tapped(message_id: String, postback: String, text: String) -> What {
        What::Tapped(SuggestionTapped { message_id, postback, text })
    }
    let call = async |request| whole(client.clone().submit_actions(request).await);
    let table: [Wrong<SubmitActionsRequest>; 22] = [
        ("batch_id", InvalidArgument, |it| it.batch_id.clear()),
        ("batch_id", InvalidArgument, |it| it.batch_id = NUMBER.to_owned()),
        ("fleet", InvalidArgument, |it| it.fleet.clear()),
        ("fleet", InvalidArgument, |it| it.fleet = long(64)),
        ("actions", InvalidArgument, |it| it.actions = vec![it.actions[0].clone(); 1_001]),
        ("actions.msisdn", InvalidArgument, |it| second(it, What::Follow(Follow {})).msisdn.clear()),
        ("actions.msisdn", InvalidArgument, |it| {
            second(it, What::Follow(Follow {})).msisdn = NUMBER.to_owned();
        }),
        ("actions.official_account", InvalidArgument, |it| {
            second(it, What::Follow(Follow {})).official_account.clear();
        }),
        ("actions.official_account", InvalidArgument, |it| {
            second(it, What::Follow(Follow {})).official_account = "nobody".to_owned();
        }),
        ("actions.what", InvalidArgument, |it| second(it, What::Follow(Follow {})).what = None),
        ("actions.delivered.message_id", InvalidArgument, |it| {
            second(it, What::Delivered(MessageDelivered { message_id: String::new() }));
        }),
        ("actions.delivered.message_id", InvalidArgument, |it| {
            second(it, What::Delivered(MessageDelivered { message_id: long(36) }));
        }),
        ("actions.displayed.message_id", InvalidArgument, |it| {
            second(it, What::Displayed(MessageDisplayed { message_id: String::new() }));
        }),
        ("actions.displayed.message_id", InvalidArgument, |it| {
            second(it, What::Displayed(MessageDisplayed { message_id: long(36) }));
        }),
        ("actions.tapped.message_id", InvalidArgument, |it| {
            second(it, tapped(String::new(), "p".to_owned(), "はい".to_owned()));
        }),
        ("actions.tapped.message_id", InvalidArgument, |it| {
            second(it, tapped(NUMBER.to_owned(), "p".to_owned(), "はい".to_owned()));
        }),
        ("actions.tapped.postback", InvalidArgument, |it| {
            second(it, tapped(message_id(1), long(2_049), "はい".to_owned()));
        }),
        ("actions.tapped.text", InvalidArgument, |it| {
            second(it, tapped(message_id(1), "p".to_owned(), long(26)));
        }),
        ("actions.typed.text", InvalidArgument, |it| {
            second(it, What::Typed(TextTyped { text: String::new() }));
        }),
        ("actions.typed.text", InvalidArgument, |it| {
            second(it, What::Typed(TextTyped { text: long(3_073) }));
        }),
        ("actions.typed.text", InvalidArgument, |it| {
            second(it, What::Typed(TextTyped { text: "漏\0".to_owned() }));
        }),
        ("actions.official_account", InvalidArgument, |it| {
            second(it, What::Follow(Follow {})).official_account = long(64);
        }),
    ];
    probes.ask(world, "SubmitActions", &good, call, &table).await;
    let question = &world.questions[0];
    let message_id = || question.message_id.clone();
    let tap = &question.content.as_ref().unwrap().suggestions[2];
    let acts = [
        What::Delivered(MessageDelivered { message_id: message_id() }),
        What::Displayed(MessageDisplayed { message_id: message_id() }),
        tapped(message_id(), tap.postback.clone(), tap.text.clone()),
    ];
    for (batch, what) in (9..).zip(acts) {
        let mut good = good.clone();
        good.batch_id = Uuid::from_u128(batch).to_string();
        good.actions[0].what = Some(what);
        probes.ask(world, "SubmitActions", &good, call, &[]).await;
    }

    let client = HandsetServiceClient::new(world.system.channel_of("phones", KUMO).open_ended());
    let good = ReceiveMessagesRequest { fleet: FLEET.to_owned() };
    let call = async |request| {
        let answer = client.clone().receive_messages(request).await;
        let mut messages = answer.map_err(|status| from_status(&status))?.into_inner();
        messages.message().await.map(drop).map_err(|status| from_status(&status))
    };
    let table: [Wrong<ReceiveMessagesRequest>; 3] = [
        ("fleet", InvalidArgument, |it| it.fleet.clear()),
        ("fleet", InvalidArgument, |it| it.fleet = "a".repeat(64)),
        ("fleet", InvalidArgument, |it| it.fleet = PERSONAL.to_owned()),
    ];
    probes.ask(world, "ReceiveMessages", &good, call, &table).await;
}

async fn persons(world: &World, probes: &mut Probes) {
    let client = VerificationServiceClient::new(world.system.channel_of("phones", KUMO));
    let person = Person {
        credential_id: "card-1".to_owned(),
        method: IdentityMethod::Jpki.into(),
        msisdn: FOLLOWERS[0].0.to_owned(),
        pin: "1234".to_owned(),
        name: "小川 光".to_owned(),
        name_kana: "オガワ ヒカル".to_owned(),
        birth_date: "1939-04-18".to_owned(),
        address: "神奈川県横浜市".to_owned(),
    };
    let good = RegisterPersonsRequest { persons: vec![person] };
    let call = async |request| whole(client.clone().register_persons(request).await);
    let table: [Wrong<RegisterPersonsRequest>; 17] = [
        ("persons", InvalidArgument, |it| it.persons = vec![it.persons[0].clone(); 1_001]),
        ("persons.credential_id", InvalidArgument, |it| other(it).credential_id.clear()),
        ("persons.credential_id", InvalidArgument, |it| other(it).credential_id = long(101)),
        ("persons.method", InvalidArgument, |it| other(it).method = 0),
        ("persons.method", InvalidArgument, |it| other(it).method = 99),
        ("persons.msisdn", InvalidArgument, |it| other(it).msisdn.clear()),
        ("persons.msisdn", InvalidArgument, |it| other(it).msisdn = NUMBER.to_owned()),
        ("persons.pin", InvalidArgument, |it| other(it).pin = "123".to_owned()),
        ("persons.pin", InvalidArgument, |it| other(it).pin = long(17)),
        ("persons.name", InvalidArgument, |it| other(it).name = long(201)),
        ("persons.name", InvalidArgument, |it| other(it).name = "漏\0".to_owned()),
        ("persons.name_kana", InvalidArgument, |it| other(it).name_kana = long(201)),
        ("persons.name_kana", InvalidArgument, |it| other(it).name_kana = "漏\0".to_owned()),
        ("persons.birth_date", InvalidArgument, |it| other(it).birth_date = long(101)),
        ("persons.birth_date", InvalidArgument, |it| other(it).birth_date = "漏\0".to_owned()),
        ("persons.address", InvalidArgument, |it| other(it).address = long(501)),
        ("persons.address", InvalidArgument, |it| other(it).address = "漏\0".to_owned()),
    ];
    probes.ask(world, "RegisterPersons", &good, call, &table).await;
}

/// A second person behind a first one who changed, and whose change may not be stored either.
fn other(request: &mut RegisterPersonsRequest) -> &mut Person {
    request.persons.push(Person { credential_id: "card-2".to_owned(), ..request.persons[0].clone() });
    request.persons[0].name = "別人".to_owned();
    &mut request.persons[1]
}

async fn pages(world: &World, probes: &mut Probes) {
    let client = VerificationServiceClient::new(world.system.channel_of("phones", KUMO));
    let visit = Authentication {
        url: "https://jpki.kumo.musubi.test/verify?aud=somebody&nonce=of-the-test".to_owned(),
        msisdn: FOLLOWERS[0].0.to_owned(),
        credential_id: "card-1".to_owned(),
        pin: "1234".to_owned(),
    };
    let good =
        AuthenticateRequest { batch_id: Uuid::from_u128(20).to_string(), authentications: vec![visit] };
    let call = async |request| {
        items(client.clone().authenticate(request).await, "authentications", |answer| answer.refused)
    };
    let table: [Wrong<AuthenticateRequest>; 3] = [
        ("batch_id", InvalidArgument, |it| it.batch_id.clear()),
        ("batch_id", InvalidArgument, |it| it.batch_id = NUMBER.to_owned()),
        ("authentications", InvalidArgument, |it| {
            it.authentications = vec![it.authentications[0].clone(); 1_001]
        }),
    ];
    probes.ask(world, "Authenticate", &good, call, &table).await;

    /// A page of a batch that wasn't applied before. Its refusal is stored as the batch's answer, and nothing else is.
    fn visit_of(request: &mut AuthenticateRequest, batch: u128) -> &mut Authentication {
        request.batch_id = Uuid::from_u128(batch).to_string();
        &mut request.authentications[0]
    }
    let table: [Wrong<AuthenticateRequest>; 11] = [
        ("authentications.url", InvalidArgument, |it| visit_of(it, 30).url.clear()),
        ("authentications.url", InvalidArgument, |it| visit_of(it, 31).url = long(9_000)),
        ("authentications.url", InvalidArgument, |it| {
            visit_of(it, 32).url = "https://jpki.nami.musubi.test/verify?aud=a&nonce=b".to_owned();
        }),
        ("authentications.url", InvalidArgument, |it| {
            visit_of(it, 33).url = "https://jpki.kumo.musubi.test/verify?aud=a".to_owned();
        }),
        ("authentications.msisdn", InvalidArgument, |it| visit_of(it, 34).msisdn.clear()),
        ("authentications.msisdn", InvalidArgument, |it| visit_of(it, 35).msisdn = NUMBER.to_owned()),
        ("authentications.credential_id", InvalidArgument, |it| {
            visit_of(it, 36).msisdn = FOLLOWERS[1].0.to_owned();
        }),
        ("authentications.credential_id", InvalidArgument, |it| visit_of(it, 37).credential_id.clear()),
        ("authentications.credential_id", InvalidArgument, |it| visit_of(it, 38).credential_id = long(9_000)),
        ("authentications.pin", InvalidArgument, |it| visit_of(it, 39).pin.clear()),
        ("authentications.pin", InvalidArgument, |it| visit_of(it, 40).pin = "4321".to_owned()),
    ];
    probes.ask_leaving_a_trace(world, "Authenticate", &good, call, &table, KUMO).await;
}

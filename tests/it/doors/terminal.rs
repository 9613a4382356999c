//! `musubi.terminal.v1`: stories in, talk rooms out.

use musubi_domain::ErrorKind::InvalidArgument;
use musubi_proto::terminal::v1::{
    ListTalkRoomsRequest, PlayStoriesRequest, Story, terminal_service_client::TerminalServiceClient,
};

use super::{
    probe::{NUMBER, Probes, Wrong, long, whole},
    world::{BANK, KUMO, World},
};

pub(super) async fn probe(world: &World, probes: &mut Probes) {
    let client = TerminalServiceClient::new(world.system.channel("phones"));

    let story = Story {
        phone_number: "+818022220001".to_owned(),
        carrier: KUMO.to_owned(),
        official_account: BANK.to_owned(),
        reply: "decline".to_owned(),
        ..Story::default()
    };
    let call = async |request| whole(client.clone().play_stories(request).await);
    let good = PlayStoriesRequest { stories: vec![story] };
    let table: [Wrong<PlayStoriesRequest>; 27] = [
        ("stories", InvalidArgument, |it| it.stories = vec![it.stories[0].clone(); 1_001]),
        ("stories.phone_number", InvalidArgument, |it| it.stories[0].phone_number.clear()),
        ("stories.phone_number", InvalidArgument, |it| it.stories[0].phone_number = NUMBER.to_owned()),
        ("stories.phone_number", InvalidArgument, |it| it.stories[0].phone_number = long(9_000)),
        ("stories.carrier", InvalidArgument, |it| confirming(it).carrier.clear()),
        ("stories.carrier", InvalidArgument, |it| confirming(it).carrier = "sora".to_owned()),
        ("stories.carrier", InvalidArgument, |it| {
            // The phone is with another carrier already.
            confirming(it).carrier = "nami".to_owned();
            it.stories[1].phone_number = it.stories[0].phone_number.clone();
        }),
        ("stories.official_account", InvalidArgument, |it| confirming(it).official_account.clear()),
        ("stories.official_account", InvalidArgument, |it| confirming(it).official_account = long(64)),
        ("stories.reply", InvalidArgument, |it| confirming(it).reply.clear()),
        ("stories.reply", InvalidArgument, |it| confirming(it).reply = long(9_000)),
        ("stories.account_text", InvalidArgument, |it| confirming(it).account_text.clear()),
        ("stories.account_text", InvalidArgument, |it| confirming(it).account_text = long(3_073)),
        ("stories.identity_method", InvalidArgument, |it| confirming(it).identity_method.clear()),
        ("stories.identity_method", InvalidArgument, |it| {
            confirming(it).identity_method = "passport".to_owned()
        }),
        ("stories.identity_name", InvalidArgument, |it| confirming(it).identity_name.clear()),
        ("stories.identity_name", InvalidArgument, |it| confirming(it).identity_name = long(201)),
        ("stories.identity_name", InvalidArgument, |it| confirming(it).identity_name = "漏\0".to_owned()),
        ("stories.identity_name_kana", InvalidArgument, |it| confirming(it).identity_name_kana = long(201)),
        ("stories.identity_name_kana", InvalidArgument, |it| {
            confirming(it).identity_name_kana = "漏\0".to_owned();
        }),
        ("stories.identity_birth_date", InvalidArgument, |it| confirming(it).identity_birth_date.clear()),
        ("stories.identity_birth_date", InvalidArgument, |it| confirming(it).identity_birth_date = long(101)),
        ("stories.identity_birth_date", InvalidArgument, |it| {
            confirming(it).identity_birth_date = "漏\0".to_owned();
        }),
        ("stories.identity_address", InvalidArgument, |it| confirming(it).identity_address = long(501)),
        ("stories.identity_address", InvalidArgument, |it| {
            confirming(it).identity_address = "漏\0".to_owned();
        }),
        ("stories.account_text", InvalidArgument, |it| confirming(it).account_text = "漏\0".to_owned()),
        ("stories.unfollow_after", InvalidArgument, |it| confirming(it).unfollow_after = "never".to_owned()),
    ];
    probes.ask(world, "PlayStories", &good, call, &table).await;

    let call = async |request| whole(client.clone().list_talk_rooms(request).await);
    let table: [Wrong<ListTalkRoomsRequest>; 6] = [
        ("phone_number", InvalidArgument, |request| request.phone_number = NUMBER.to_owned()),
        ("phone_number", InvalidArgument, |request| request.phone_number = long(9_000)),
        ("page_size", InvalidArgument, |request| request.page_size = 1_001),
        ("page_size", InvalidArgument, |request| request.page_size = u32::MAX),
        ("page_token", InvalidArgument, |request| request.page_token = NUMBER.to_owned()),
        ("page_token", InvalidArgument, |request| request.page_token = long(9_000)),
    ];
    probes.ask(world, "ListTalkRooms", &ListTalkRoomsRequest::default(), call, &table).await;
}

/// A second story that would be taken, behind the good one.
fn confirming(request: &mut PlayStoriesRequest) -> &mut Story {
    request.stories.push(Story {
        phone_number: "+818022220002".to_owned(),
        reply: "confirm".to_owned(),
        account_text: "6289085".to_owned(),
        identity_method: "jpki".to_owned(),
        identity_name: "小川 光".to_owned(),
        identity_birth_date: "1939-04-18".to_owned(),
        ..request.stories[0].clone()
    });
    request.stories.last_mut().unwrap()
}

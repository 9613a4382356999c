//! The whole simulator over real gRPC, against a peer that plays carrier.

mod lost;
mod pages;
mod peer;

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use jiff::SignedDuration;
use musubi_domain::{Error, ErrorKind, caller::Caller};
use musubi_proto::terminal::v1::{
    GetProgressRequest, GetProgressResponse, ListTalkRoomsRequest, PlayStoriesRequest, Story, TalkRoom, line,
    terminal_service_client::TerminalServiceClient,
};
use musubi_runtime::{
    Clock, ManualClock, Shutdown, SystemClock,
    grpc::{
        client::{ClientOptions, PeerChannel, connect},
        status::from_status,
    },
    tls::{Identity, authority::Authority},
};
use tokio::task::JoinHandle;
use tonic::Status;

use self::peer::{Mood, Peer, message};
use crate::{App, BuildError, Config, config::tests::example, intake::tests::confirming};

/// A running simulator.
struct Phones {
    client: TerminalServiceClient<PeerChannel>,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    /// Where a browser finds them; empty without pages.
    origin: String,
}

fn config(folder: &Path, peer: &Peer) -> Config {
    let mut config = example(folder);
    config.carrier[0].endpoint = peer.endpoint.clone();
    config.tls = peer.certificate(&Caller::Terminal);
    config
}

/// Somebody who operates terminals, of the authority that these terminals believe.
fn as_operator(config: &Config, name: &str) -> Identity {
    let authority = Authority::of(config.tls.authorities.parent().unwrap()).unwrap();
    authority.identity(&Caller::TerminalOperator(name.parse().unwrap())).unwrap()
}

impl Phones {
    async fn start(config: Config) -> Self {
        Self::start_at(config, Arc::new(SystemClock)).await
    }

    async fn start_at(config: Config, clock: Arc<dyn Clock>) -> Self {
        let operator = as_operator(&config, config.callers.operators[0].as_str());
        let app = App::build(config, clock).await.unwrap();
        let channel = connect(&operator, &app.endpoint(), None, ClientOptions::default()).unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let origin = app.pages_origin().unwrap_or_default();
        let run = app.run(shutdown.clone());
        let running = tokio::spawn(async move { drop(run.await) });
        Self { client: TerminalServiceClient::new(channel), shutdown, running, origin }
    }

    /// Drops everything where it stands.
    async fn kill(self) {
        self.shutdown.abort();
        self.running.await.unwrap();
    }

    async fn play(&mut self, stories: Vec<Story>) -> u32 {
        self.client.play_stories(PlayStoriesRequest { stories }).await.unwrap().into_inner().taken
    }

    async fn progress(&mut self) -> GetProgressResponse {
        self.client.get_progress(GetProgressRequest {}).await.unwrap().into_inner()
    }

    /// Waits until the progress is as wanted.
    async fn until(&mut self, wanted: impl Fn(&GetProgressResponse) -> bool) -> GetProgressResponse {
        for _ in 0..1_000 {
            let progress = self.progress().await;
            if wanted(&progress) {
                return progress;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it didn't come to that")
    }

    async fn rooms(&mut self, request: ListTalkRoomsRequest) -> Vec<TalkRoom> {
        self.client.list_talk_rooms(request).await.unwrap().into_inner().talk_rooms
    }

    /// The lines of the only talk room, in words.
    async fn lines(&mut self) -> Vec<String> {
        let rooms = self.rooms(ListTalkRoomsRequest::default()).await;
        assert_eq!(rooms.len(), 1);
        rooms[0].lines.iter().map(|line| tell(line.what.as_ref().unwrap())).collect()
    }
}

fn tell(what: &line::What) -> String {
    match what {
        line::What::Message(message) => message.content.as_ref().unwrap().text.clone(),
        line::What::Said(text) => format!("> {text}"),
        line::What::Opened(page) | line::What::Proved(page) => format!("> [{page}]"),
        line::What::Followed(follows) => format!("> {follows}"),
    }
}

async fn eventually(wanted: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if wanted() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it didn't come to that")
}

/// The error of a call that must fail.
#[track_caller]
fn refused<T>(answer: Result<T, Status>) -> Error {
    from_status(&answer.err().unwrap())
}

fn story(number: u32, reply: &str) -> Story {
    Story { phone_number: format!("+8180{number:08}"), reply: reply.to_owned(), ..confirming() }
}

fn at_rest(progress: &GetProgressResponse) -> bool {
    progress.finished == progress.stories && progress.stories > 0 && progress.pending_actions == 0
}

const NUMBER: &str = "+818000000001";

#[tokio::test]
async fn a_person_goes_from_follow_to_confirmed() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    assert_eq!(phones.play(vec![confirming()]).await, 1);
    let progress = phones.until(at_rest).await;
    assert_eq!((progress.shown, progress.tapped, progress.typed, progress.pages), (4, 2, 1, 1));
    let said = [
        "question の本文",
        "> 確認する",
        "account の本文",
        "> 口座番号は1234567です",
        "identity の本文",
        "> カード",
        "> [https://jpki.kumo.example/v]",
        "confirmed の本文",
    ];
    assert_eq!(phones.lines().await, said);
    let told = [
        "follow",
        "delivered question-1",
        "displayed question-1",
        "tapped 確認する under question-1: back:確認する",
        "delivered account-2",
        "displayed account-2",
        "typed 口座番号は1234567です",
        "delivered identity-3",
        "displayed identity-3",
        "tapped カード under identity-3: back:カード",
        "delivered confirmed-4",
        "displayed confirmed-4",
    ];
    assert_eq!(peer.told(NUMBER), told);
    peer.with(|state| {
        let credential = state.persons[0].credential_id.clone();
        let page = "https://jpki.kumo.example/v?n=secret".to_owned();
        assert_eq!(state.authenticated, [(NUMBER.to_owned(), page, credential)]);
    });
    let room = phones.rooms(ListTalkRoomsRequest::default()).await.remove(0);
    assert_eq!((room.display_name.as_str(), room.step.as_str()), ("見本銀行", "finished"));
    let times: Vec<_> = room.lines.iter().map(|line| line.line_time.unwrap()).collect();
    assert!(times.is_sorted_by_key(|time| (time.seconds, time.nanos)));
    phones.kill().await;
}

#[tokio::test]
async fn every_kind_of_story_ends_and_is_counted_where_it_stands() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    let leaves = |number, unfollow_after: &str| Story {
        unfollow_after: unfollow_after.to_owned(),
        ..story(number, "confirm")
    };
    let not_offered = Story { identity_method: "document".to_owned(), ..story(7, "confirm") };
    let stories = vec![
        story(1, "confirm"),
        story(2, "no_account"),
        story(3, "decline"),
        story(4, "ignore"),
        leaves(5, "question"),
        leaves(6, "confirmed"),
        not_offered,
    ];
    assert_eq!(phones.play(stories).await, 7);
    let progress = phones.until(at_rest).await;
    assert_eq!(progress.steps.iter().map(|step| step.count).sum::<u64>(), 7);
    assert_eq!((progress.refused, progress.repeated_before), (0, 0));
    let last = |number: u32| peer.told(&format!("+8180{number:08}")).pop().unwrap();
    assert!(last(2).starts_with("tapped 口座なし"));
    assert!(last(3).starts_with("tapped しない"));
    assert!(last(4).starts_with("displayed question"));
    assert_eq!(peer.told("+818000000005").len(), 4, "follows, receipts, unfollows");
    assert_eq!((last(5), last(6)), ("unfollow".to_owned(), "unfollow".to_owned()));
    assert!(last(7).starts_with("displayed identity"));
    let only = ListTalkRoomsRequest { phone_number: "+818000000002".to_owned(), ..Default::default() };
    let room = phones.rooms(only).await.remove(0);
    let lines: Vec<_> = room.lines.iter().map(|line| tell(line.what.as_ref().unwrap())).collect();
    assert_eq!(lines, ["question の本文", "> 口座なし", "> [https://bank.example/open]"]);
    phones.kill().await;
}

#[tokio::test]
async fn a_message_sent_three_times_is_shown_once() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    peer.with(|state| state.converses = false);
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play(vec![confirming()]).await;
    eventually(|| peer.is_heard()).await;
    let news = message("news", NUMBER);
    peer.say(vec![news.clone(), news.clone()]);
    phones.until(|progress| progress.shown == 1).await;
    peer.say(vec![news]);
    let progress =
        phones.until(|progress| progress.repeated_before == 2 && progress.pending_actions == 0).await;
    assert_eq!(progress.shown, 1);
    assert_eq!(phones.lines().await, ["news の本文"]);
    assert_eq!(peer.told(NUMBER), ["follow", "delivered news", "displayed news"]);
    phones.kill().await;
}

#[tokio::test]
async fn a_reminder_is_answered_only_once_and_strangers_get_nothing() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    peer.with(|state| state.converses = false);
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play(vec![confirming()]).await;
    let mut reminder = message("question", NUMBER);
    reminder.message_id = "reminder".to_owned();
    peer.send(message("question", "+818099999999"));
    peer.send(message("question", NUMBER));
    peer.send(reminder);
    let progress = phones.until(|progress| progress.shown == 2 && progress.pending_actions == 0).await;
    assert_eq!(progress.tapped, 1);
    assert_eq!(phones.lines().await, ["question の本文", "> 確認する", "question の本文"]);
    assert!(peer.told("+818099999999").is_empty());
    phones.kill().await;
}

#[tokio::test]
async fn after_every_crash_the_same_batch_is_sent_again_and_nothing_is_doubled() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    for round in 0..8 {
        peer.with(|state| (state.loses_after, state.lost) = (Some(round % 2), 0));
        let mut phones = Phones::start(config(folder.path(), &peer)).await;
        if round == 0 {
            phones.play((1..=50).map(|number| story(number, "confirm")).collect()).await;
        }
        eventually(|| peer.with(|state| state.lost > 0)).await;
        phones.kill().await;
    }
    peer.with(|state| state.loses_after = None);
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    let progress = phones.until(at_rest).await;
    assert_eq!((progress.stories, progress.shown, progress.refused), (50, 200, 0));
    for number in 1..=50 {
        assert_eq!(peer.told(&format!("+8180{number:08}")).len(), 12, "each action once");
    }
    assert_eq!(peer.with(|state| state.authenticated.len()), 50);
    peer.with(|state| {
        let mut calls = state.calls.clone();
        let sent = calls.len();
        calls.sort();
        calls.dedup();
        assert!(calls.len() < sent, "some were sent again");
        let ids = calls.iter().map(|(id, _)| id).collect::<HashSet<_>>();
        assert_eq!(ids.len(), calls.len(), "a batch id has one request for ever");
    });
    phones.kill().await;
}

#[tokio::test]
async fn a_carrier_that_is_down_for_a_while_gets_everything_later() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    peer.with(|state| state.mood = Mood::Down);
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play(vec![confirming()]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let progress = phones.progress().await;
    assert_eq!(
        (progress.pending_actions, progress.finished),
        (2, 0),
        "the person's credential and the follow"
    );
    let joining = progress.steps.iter().find(|step| step.step == "joining").unwrap();
    assert_eq!(joining.count, 1);
    peer.with(|state| state.mood = Mood::Well);
    phones.until(at_rest).await;
    assert_eq!(peer.told(NUMBER).len(), 12);
    phones.kill().await;
}

#[tokio::test]
async fn a_refused_batch_is_counted_and_dropped_and_the_next_goes() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    peer.with(|state| state.mood = Mood::Refuses);
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play(vec![story(1, "decline")]).await;
    let refused = phones.until(|progress| progress.pending_actions == 0).await.refused;
    assert_eq!(refused, 2);
    peer.with(|state| state.mood = Mood::Well);
    phones.play(vec![story(2, "decline")]).await;
    phones.until(|progress| progress.finished == 1 && progress.pending_actions == 0).await;
    phones.kill().await;
}

#[tokio::test]
async fn bad_stories_are_refused_by_their_field_and_nothing_is_taken() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play(vec![story(1, "ignore")]).await;
    let carrier = |carrier: &str, number| Story { carrier: carrier.to_owned(), ..story(number, "ignore") };
    for (bad, field) in [
        (story(9, "perhaps"), "stories[1].reply"),
        (Story { phone_number: "080".to_owned(), ..confirming() }, "stories[1].phone_number"),
        (carrier("sora", 9), "stories[1].carrier"),
        (carrier("Kumo", 9), "stories[1].carrier"),
    ] {
        let request = PlayStoriesRequest { stories: vec![story(8, "ignore"), bad] };
        let error = refused(phones.client.play_stories(request).await);
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::InvalidArgument, field));
    }
    let request = PlayStoriesRequest { stories: (0..1_001).map(|number| story(number, "ignore")).collect() };
    let error = refused(phones.client.play_stories(request).await);
    assert_eq!((error.kind, error.field.as_str()), (ErrorKind::InvalidArgument, "stories"));
    assert_eq!(phones.progress().await.stories, 1);
    phones.kill().await;
}

#[tokio::test]
async fn a_talk_room_that_has_its_story_keeps_it_and_a_phone_its_carrier() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &peer);
    let second = crate::CarrierConfig { id: "nami".parse().unwrap(), ..config.carrier[0].clone() };
    config.carrier.push(second);
    let mut phones = Phones::start(config).await;
    let shop = Story { official_account: "shop".to_owned(), ..story(1, "ignore") };
    assert_eq!(phones.play(vec![story(1, "decline"), story(1, "ignore"), shop.clone()]).await, 2);
    assert_eq!(phones.play(vec![story(1, "ignore"), story(2, "ignore")]).await, 1);
    for stories in [
        vec![Story { official_account: "inn".to_owned(), carrier: "nami".to_owned(), ..shop }],
        vec![story(3, "ignore"), Story { carrier: "nami".to_owned(), ..story(3, "ignore") }],
    ] {
        let index = stories.len() - 1;
        let error = refused(phones.client.play_stories(PlayStoriesRequest { stories }).await);
        assert_eq!(error.field, format!("stories[{index}].carrier"));
    }
    phones.until(at_rest).await;
    assert!(peer.told(NUMBER).iter().any(|told| told.starts_with("tapped しない")));
    phones.kill().await;
}

#[tokio::test]
async fn pages_go_in_the_order_of_the_stories_and_end() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play((1..=5).map(|number| story(number, "ignore")).collect()).await;
    phones.until(at_rest).await;
    let mut numbers = Vec::new();
    let mut sizes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTalkRoomsRequest { page_size: 2, page_token, ..Default::default() };
        let page = phones.client.list_talk_rooms(request).await.unwrap().into_inner();
        sizes.push(page.talk_rooms.len());
        numbers.extend(page.talk_rooms.into_iter().map(|room| room.phone_number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(numbers, (1..=5).map(|number| format!("+8180{number:08}")).collect::<Vec<_>>());
    for (request, field) in [
        (ListTalkRoomsRequest { page_size: 1_001, ..Default::default() }, "page_size"),
        (ListTalkRoomsRequest { page_token: "x".to_owned(), ..Default::default() }, "page_token"),
        (ListTalkRoomsRequest { phone_number: "110".to_owned(), ..Default::default() }, "phone_number"),
    ] {
        assert_eq!(refused(phones.client.list_talk_rooms(request).await).field, field);
    }
    phones.kill().await;
}

#[tokio::test]
async fn a_page_too_large_for_one_message_ends_early() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    peer.with(|state| state.converses = false);
    let mut phones = Phones::start(config(folder.path(), &peer)).await;
    phones.play((1..=3).map(|number| story(number, "ignore")).collect()).await;
    for number in 1..=3 {
        for count in 0..300 {
            let mut news = message("news", &format!("+8180{number:08}"));
            news.message_id = format!("news-{number}-{count}");
            news.content.as_mut().unwrap().text = "知".repeat(3_000);
            peer.send(news);
        }
    }
    phones.until(|progress| progress.shown == 900).await;
    let client = phones.client.clone();
    phones.client = client.max_decoding_message_size(musubi_runtime::grpc::MAX_MESSAGE_BYTES);
    let first = phones.client.list_talk_rooms(ListTalkRoomsRequest::default()).await.unwrap().into_inner();
    assert_eq!(first.talk_rooms.len(), 1, "2.7 MB each, and 4 MiB to a page");
    let request =
        ListTalkRoomsRequest { page_token: first.next_page_token, page_size: 1, ..Default::default() };
    let second = phones.rooms(request).await.remove(0);
    assert_eq!((second.phone_number.as_str(), second.lines.len()), ("+818000000002", 300));
    phones.kill().await;
}

#[tokio::test]
async fn people_who_think_send_receipts_at_once_and_answers_later() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &peer);
    config.thinking.min = Duration::from_millis(200);
    config.thinking.max = Duration::from_millis(300);
    let clock = Arc::new(ManualClock::new("2026-11-23T00:00:00Z".parse().unwrap()));
    let mut phones = Phones::start_at(config, Arc::<ManualClock>::clone(&clock)).await;
    phones.play(vec![story(1, "decline")]).await;
    let progress = phones.until(|progress| progress.shown == 1 && progress.pending_actions == 1).await;
    assert_eq!((progress.tapped, progress.finished), (1, 0));
    assert_eq!(peer.told(NUMBER).len(), 3, "the follow and two receipts");
    clock.advance(SignedDuration::from_millis(300));
    phones.until(at_rest).await;
    assert!(peer.told(NUMBER)[3].starts_with("tapped しない"));
    phones.kill().await;
}

#[tokio::test]
async fn a_stories_file_is_played_from_the_start_once() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &peer);
    let path = folder.path().join("stories.csv");
    let file = |carrier: &str| {
        let rows = (1..=1_500).map(|n| format!("\n+8180{n:08},{carrier},bank,ignore,,,,,,,,unanswered,,"));
        format!("{}{}", crate::story::COLUMNS.join(","), rows.collect::<String>())
    };
    config.fleet.stories = Some(path.clone());
    std::fs::write(&path, file("sora")).unwrap();
    let refused = App::build(config.clone(), Arc::new(SystemClock)).await.err().unwrap();
    assert!(
        matches!(&refused, BuildError::Story(error) if error.field.ends_with("stories[0].carrier")),
        "{refused}"
    );
    std::fs::write(&path, file("kumo")).unwrap();
    for _ in 0..2 {
        let mut phones = Phones::start(config.clone()).await;
        let progress = phones.until(at_rest).await;
        assert_eq!((progress.stories, progress.shown), (1_500, 1_500));
        phones.kill().await;
    }
    peer.with(|state| assert_eq!(state.actions.len(), 4_500));
}

#[tokio::test]
async fn a_database_with_phones_of_a_carrier_that_is_not_configured_is_refused() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &peer);
    let mut phones = Phones::start(config.clone()).await;
    phones.play(vec![story(1, "ignore")]).await;
    phones.kill().await;
    config.carrier[0].id = "nami".parse().unwrap();
    let refused = App::build(config, Arc::new(SystemClock)).await.err().unwrap();
    assert!(refused.to_string().contains("carrier kumo, which is not configured"), "{refused}");
}

#[tokio::test]
async fn only_operators_come_in() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let config = config(folder.path(), &peer);
    let mut phones = Phones::start(config.clone()).await;
    assert_eq!(phones.progress().await.stories, 0);
    phones.kill().await;
    let stranger = as_operator(&config, "stranger");
    let app = App::build(config, Arc::new(SystemClock)).await.unwrap();
    let stranger = connect(&stranger, &app.endpoint(), None, ClientOptions::default()).unwrap();
    let shutdown = Shutdown::new(Duration::from_secs(5));
    let running = tokio::spawn(app.run(shutdown.clone()));
    let error = refused(TerminalServiceClient::new(stranger).get_progress(GetProgressRequest {}).await);
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    shutdown.begin();
    running.await.unwrap().unwrap();
}

//! The people with phones: each follows, and answers every message at once, until the result is there.
//!
//! What they do leaves in batches of up to 1,000, as a carrier's outbox does. Surprising: one task plays all of them, in the order in
//! which messages come, so nobody waits for another's lock; only signatures and calls take time.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use musubi_carrier_simulator::Authorities;
use musubi_domain::{Error, phone_number::PhoneNumber};
use musubi_proto::{
    carrier::v1::OutgoingMessage,
    information::v1::{
        CarrierEvent, Followed, PushAssertionsRequest, ReceiptKind, Responded, carrier_event::What,
        responded::How,
    },
    r#type::v1::{Suggestion, suggestion::Action},
};
use musubi_runtime::{Clock as _, SystemClock, entropy};
use tokio::{
    sync::{Semaphore, mpsc},
    time::sleep,
};
use uuid::Uuid;

use super::super::{
    carrier::{Batch, Reports},
    crowd::Answer,
    site::{Node, broken},
    world::{number, place_of},
};
use crate::demo::screen::Screen;

/// Events and assertions of a batch.
const BATCH: usize = 1_000;
/// Batches of each on their way at once.
const PUSHES: usize = 4;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether new ones are to begin.
const TICK: Duration = Duration::from_millis(5);

/// When new dialogues begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// Whenever fewer than so many are under way.
    UnderWay(u64),
    /// By the clock.
    Every(Duration),
}

/// What was played.
pub(super) struct Played {
    pub(super) took: Duration,
    /// Seconds from an act to the next message,
    pub(super) replies: Vec<f32>,
    /// and from an assertion to the result.
    pub(super) results: Vec<f32>,
}

/// One person's talk room.
struct Room {
    /// Messages so far: question, account, identity, result.
    messages: u8,
    latest: String,
    acted: Instant,
}

/// All of them, by place.
pub(super) struct People {
    answers: Vec<Answer>,
    rooms: Vec<Option<Room>>,
    authorities: Authorities,
    reports: Reports,
    messages: mpsc::UnboundedReceiver<Batch>,
    events: mpsc::UnboundedSender<CarrierEvent>,
    assertions: mpsc::UnboundedSender<String>,
    /// Events and assertions that were not taken yet.
    waiting: Arc<AtomicU64>,
    failures: mpsc::Receiver<Error>,
}

impl People {
    /// One for each answer.
    pub(super) fn new(
        answers: Vec<Answer>,
        authorities: Authorities,
        reports: Reports,
        messages: mpsc::UnboundedReceiver<Batch>,
    ) -> Self {
        let (events, new_events) = mpsc::unbounded_channel();
        let (assertions, new_assertions) = mpsc::unbounded_channel();
        let (failed, failures) = mpsc::channel(1);
        let waiting = Arc::new(AtomicU64::new(0));
        let outbox = Outbox { reports: reports.clone(), waiting: Arc::clone(&waiting), failed };
        tokio::spawn(
            outbox.clone().send(new_events, |reports, events| async move { reports.push(events).await }),
        );
        tokio::spawn(outbox.send(new_assertions, push_assertions));
        let rooms = answers.iter().map(|_| None).collect();
        Self { answers, rooms, authorities, reports, messages, events, assertions, waiting, failures }
    }

    /// Plays those of these places to the end, and waits until all of it is taken.
    pub(super) async fn play(
        &mut self,
        places: Range<u64>,
        pace: Pace,
        nodes: &mut [Node],
        screen: &Screen,
    ) -> Result<Played, Error> {
        let count = places.end - places.start;
        let stage = screen.begin(
            match pace {
                Pace::UnderWay(_) => "dialogues",
                Pace::Every(_) => "at half pace",
            },
            count,
        );
        let (begun, mut moved) = (Instant::now(), Instant::now());
        let mut played = Played { took: Duration::ZERO, replies: Vec::new(), results: Vec::new() };
        let (mut started, mut finished) = (0, 0);
        while finished < count {
            let due = match pace {
                Pace::UnderWay(most) => finished + most,
                Pace::Every(time) => (begun.elapsed().as_secs_f64() / time.as_secs_f64()) as u64 + 1,
            };
            while started < due.min(count) {
                self.follow(places.start + started);
                started += 1;
            }
            tokio::select! {
                Some(batch) = self.messages.recv() => {
                    for message in batch.messages {
                        finished += u64::from(self.answer(message, &mut played)?);
                    }
                    moved = Instant::now();
                    stage.at(finished, "");
                }
                Some(failure) = self.failures.recv() => return Err(failure),
                () = sleep(TICK) => {}
            }
            if moved.elapsed() > PATIENCE {
                nodes.iter_mut().try_for_each(Node::alive)?;
                return Err(broken("nobody is told anything any more", format!("{finished} of {count} are")));
            }
        }
        while self.waiting.load(Ordering::Relaxed) > 0 {
            sleep(TICK).await;
        }
        played.took = begun.elapsed();
        stage.end("");
        Ok(played)
    }

    fn follow(&mut self, place: u64) {
        if let Some(room) = usize::try_from(place).ok().and_then(|place| self.rooms.get_mut(place)) {
            *room = Some(Room { messages: 0, latest: String::new(), acted: Instant::now() });
            self.report(number(place), What::Followed(Followed {}));
        }
    }

    /// Reports a message, and does what it asks for. Gives whether it was the result.
    fn answer(&mut self, message: OutgoingMessage, played: &mut Played) -> Result<bool, Error> {
        let OutgoingMessage { message_id, msisdn, content, .. } = message;
        let suggestions = content.unwrap_or_default().suggestions;
        for kind in [ReceiptKind::Delivered, ReceiptKind::Displayed] {
            let event = self.reports.receipt(msisdn.clone(), message_id.clone(), kind);
            self.enqueue(event);
        }
        let place = place_of(&msisdn).and_then(|place| usize::try_from(place).ok());
        let place = place.filter(|place| self.rooms.get(*place).is_some_and(Option::is_some));
        let place = place.ok_or_else(|| broken("a message came", "to nobody who follows"))?;
        let Some(room) = &mut self.rooms[place] else { return Ok(false) };
        if room.latest == message_id {
            // Sent again, because the answer was lost; a phone shows it once.
            return Ok(false);
        }
        let took = room.acted.elapsed().as_secs_f32();
        let message = room.messages;
        room.messages += 1;
        room.latest = message_id;
        room.acted = Instant::now();
        match message {
            0..=2 => played.replies.push(took),
            _ => played.results.push(took),
        }
        let answer = &self.answers[place];
        match message {
            0 => {
                let first = suggestions.into_iter().next();
                let postback = first.ok_or_else(|| unexpected("a question", "without buttons"))?.postback;
                self.report(msisdn, What::Responded(Responded { how: Some(How::Postback(postback)) }));
            }
            1 => {
                let text = answer.account.account_number.clone();
                self.report(msisdn, What::Responded(Responded { how: Some(How::Text(text)) }));
            }
            2 => {
                let url = link(&suggestions, &format!("https://{}.", answer.identity.method))?;
                let phone: PhoneNumber = msisdn.parse()?;
                let jti = Uuid::from_bytes(entropy::bytes());
                let identity = &answer.identity;
                let signed = self.authorities.attest(url, &phone, identity, jti, SystemClock.now())?;
                self.waiting.fetch_add(1, Ordering::Relaxed);
                // Nobody sends any more when a batch has failed, which says why.
                let _failed = self.assertions.send(signed);
            }
            _ => return Ok(true),
        }
        Ok(false)
    }

    fn report(&self, msisdn: String, what: What) {
        self.enqueue(self.reports.event(msisdn, what));
    }

    fn enqueue(&self, event: CarrierEvent) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _failed = self.events.send(event);
    }
}

fn unexpected(what: &str, how: &str) -> Error {
    broken(format!("{what} came"), how)
}

/// The link to the page of one authority.
fn link<'a>(suggestions: &'a [Suggestion], page: &str) -> Result<&'a str, Error> {
    let urls = suggestions.iter().filter_map(|suggestion| match &suggestion.action {
        Some(Action::OpenUrl(open)) => Some(open.url.as_str()),
        Some(Action::Dial(_)) | None => None,
    });
    let mut urls = urls.filter(|url| url.starts_with(page));
    urls.next().ok_or_else(|| unexpected("an identity message", "without the link of its method"))
}

/// Sends what waits, in batches.
#[derive(Clone)]
struct Outbox {
    reports: Reports,
    waiting: Arc<AtomicU64>,
    failed: mpsc::Sender<Error>,
}

impl Outbox {
    async fn send<T, F>(self, mut items: mpsc::UnboundedReceiver<T>, push: impl Fn(Reports, Vec<T>) -> F)
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let under_way = Arc::new(Semaphore::new(PUSHES));
        loop {
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
            let mut batch = Vec::new();
            if items.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            let count = batch.len() as u64;
            let pushed = push(self.reports.clone(), batch);
            let Self { waiting, failed, .. } = self.clone();
            tokio::spawn(async move {
                if let Err(error) = pushed.await {
                    // One failure ends the measurement; others say the same.
                    let _full = failed.try_send(error);
                }
                waiting.fetch_sub(count, Ordering::Relaxed);
                drop(permit);
            });
        }
    }
}

/// Passes assertions on.
async fn push_assertions(reports: Reports, assertions: Vec<String>) -> Result<(), Error> {
    let pushed = reports.server().push_assertions(PushAssertionsRequest { assertions }).await;
    let answer = pushed.map_err(|status| broken("assertions are not taken", status.message()))?;
    let refused = answer.into_inner().refused;
    refused.first().map_or(Ok(()), |first| {
        let why = format!("{}: {}", first.field, first.problem);
        Err(broken(format!("{} assertions were refused", refused.len()), why))
    })
}

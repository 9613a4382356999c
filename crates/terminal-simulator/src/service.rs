//! The terminal contract's door: stories in, progress and talk rooms out.
//!
//! Only operators come in. Surprising: a page of talk rooms ends early when it gets too large for one message.

use std::{collections::HashMap, sync::Arc};

use musubi_domain::{Error, ErrorKind, phone_number::PhoneNumber};
use musubi_proto::terminal::v1 as wire;
use musubi_runtime::{
    Clock,
    grpc::{MAX_MESSAGE_BYTES, status::to_status},
};
use musubi_storage::terminal::TalkRoom;
use prost::Message as _;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use crate::{
    fleet::{self, Fleet},
    hand::Stand,
    script::Step,
};

const DEFAULT_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;
/// How many talk rooms' lines are read at once.
const SLICE: usize = 100;

/// Serves the terminal contract.
pub(crate) struct Terminals {
    fleet: Arc<Fleet>,
    clock: Arc<dyn Clock>,
}

impl Terminals {
    /// Over this fleet.
    pub(crate) fn new(fleet: Arc<Fleet>, clock: Arc<dyn Clock>) -> Self {
        Self { fleet, clock }
    }

    /// A page of talk rooms, and the token for the next.
    async fn page(&self, request: wire::ListTalkRoomsRequest) -> Result<wire::ListTalkRoomsResponse, Error> {
        let limit = match request.page_size {
            0 => DEFAULT_PAGE,
            size @ 1..=LARGEST_PAGE => size,
            size => {
                let remedy = format!("ask for at most {LARGEST_PAGE}");
                return Err(Error::invalid("page_size", format!("{size} talk rooms"), remedy));
            }
        };
        let only: Option<PhoneNumber> = match request.phone_number.as_str() {
            "" => None,
            number => Some(number.parse()?),
        };
        let after = parse_token(&request.page_token)?;
        let store = self.fleet.store();
        let mut rooms = store.list_talk_rooms(after, only.as_ref(), limit + 1).await?;
        let mut whole = rooms.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
        if !whole {
            rooms.pop();
        }
        let names: HashMap<_, _> = store
            .list_senders()
            .await?
            .into_iter()
            .map(|sender| ((sender.carrier, sender.official_account), sender.display_name))
            .collect();

        let mut talk_rooms = Vec::with_capacity(rooms.len());
        let mut bytes = 0;
        'page: for slice in rooms.chunks(SLICE) {
            let mut lines = self.lines(slice).await?;
            for room in slice {
                let name = names.get(&(room.carrier.clone(), room.official_account.clone()));
                let lines = lines.remove(&room.talk_room).unwrap_or_default();
                let room = talk_room(room, name.cloned().unwrap_or_default(), lines)?;
                bytes += room.encoded_len();
                if bytes > MAX_MESSAGE_BYTES / 2 && !talk_rooms.is_empty() {
                    whole = false;
                    break 'page;
                }
                talk_rooms.push(room);
            }
        }
        let next_page_token = match talk_rooms.len().checked_sub(1).and_then(|last| rooms.get(last)) {
            Some(last) if !whole => token(last.talk_room),
            Some(_) | None => String::new(),
        };
        Ok(wire::ListTalkRoomsResponse { talk_rooms, next_page_token })
    }

    async fn lines(&self, rooms: &[TalkRoom]) -> Result<HashMap<i64, Vec<wire::Line>>, Error> {
        let numbers: Vec<i64> = rooms.iter().map(|room| room.talk_room).collect();
        let mut lines: HashMap<i64, Vec<wire::Line>> = HashMap::new();
        for stored in self.fleet.store().list_lines(&numbers).await? {
            let line = fleet::shown(stored.line)
                .map_err(|_| Error::new(ErrorKind::Internal, "a line of the store can not be read", ""))?;
            lines.entry(stored.talk_room).or_default().push(line);
        }
        Ok(lines)
    }
}

fn talk_room(room: &TalkRoom, display_name: String, lines: Vec<wire::Line>) -> Result<wire::TalkRoom, Error> {
    let stand = Stand::from_code(room.step)
        .ok_or_else(|| Error::new(ErrorKind::Internal, format!("{} is no step", room.step), ""))?;
    Ok(wire::TalkRoom {
        phone_number: room.phone_number.as_str().to_owned(),
        official_account: room.official_account.to_string(),
        display_name,
        lines,
        step: stand.word().to_owned(),
    })
}

/// The token of the page behind a talk room.
fn token(talk_room: i64) -> String {
    format!("after_{talk_room}")
}

/// The number of the talk room before the page; 0 before the first.
fn parse_token(text: &str) -> Result<i64, Error> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.strip_prefix("after_").and_then(|number| number.parse().ok());
    number.filter(|number| token(*number) == text).ok_or_else(|| {
        Error::invalid("page_token", "is none that a page gave", "give it as the page before gave it")
    })
}

#[tonic::async_trait]
impl wire::terminal_service_server::TerminalService for Terminals {
    async fn play_stories(
        &self,
        request: Request<wire::PlayStoriesRequest>,
    ) -> Result<Response<wire::PlayStoriesResponse>, Status> {
        let stories = request.into_inner().stories;
        // A caller who goes away does not cut it off half way.
        let (fleet, now) = (Arc::clone(&self.fleet), self.clock.now());
        let playing = tokio::spawn(async move { fleet.play(stories, now).await }.in_current_span());
        let lost = |_| Error::new(ErrorKind::Internal, "the stories were not taken to their end", "");
        let taken = playing.await.map_err(lost).flatten().map_err(to_status)?;
        Ok(Response::new(wire::PlayStoriesResponse { taken: u32::try_from(taken).unwrap_or(u32::MAX) }))
    }

    async fn get_progress(
        &self,
        _request: Request<wire::GetProgressRequest>,
    ) -> Result<Response<wire::GetProgressResponse>, Status> {
        let progress = self.fleet.progress();
        let steps = Step::WORDS.iter().zip(progress.steps);
        Ok(Response::new(wire::GetProgressResponse {
            stories: progress.steps.iter().sum(),
            finished: progress.steps[Step::Finished.index()],
            shown: progress.tally.shown,
            repeated_before: progress.tally.repeated,
            pending_actions: progress.pending,
            steps: steps.map(|(step, count)| wire::StepCount { step: (*step).to_owned(), count }).collect(),
            tapped: progress.tally.tapped,
            typed: progress.tally.typed,
            pages: progress.tally.pages,
            refused: progress.tally.refused,
        }))
    }

    async fn list_talk_rooms(
        &self,
        request: Request<wire::ListTalkRoomsRequest>,
    ) -> Result<Response<wire::ListTalkRoomsResponse>, Status> {
        self.page(request.into_inner()).await.map(Response::new).map_err(to_status)
    }
}

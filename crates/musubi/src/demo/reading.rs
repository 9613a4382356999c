//! What came of it, read story by story: where the company sees each follower, what each talk room showed, whether that is right.
//!
//! The judgement itself is `judge`'s. Surprising: of a room only counts are kept, so that hundreds of thousands of rooms pass
//! through without staying.

use std::{collections::HashMap, pin::pin};

use anyhow::Context as _;
use futures::TryStreamExt as _;
use musubi_proto::{
    information::v1::{Follower, FollowerOutcome},
    terminal::v1::{TalkRoom, line},
    r#type::v1::TrafficType,
};
use musubi_terminal_simulator::story::{Expected, Story};

use super::{
    clients::TerminalClient,
    judge::{Received, Standing, Text, judge, word},
    notice::Notice,
    play::Played,
    report::StoryEnd,
    screen::Screen,
    talk_room,
};

/// Whose stories are drawn as talk rooms: of each group the first ending that there is.
const DRAWN: [&[Expected]; 3] = [
    &[Expected::Confirmed],
    &[Expected::Rejected, Expected::Review],
    &[Expected::Declined, Expected::NoAccount],
];

/// The step of a phone whose person has done all that the story says.
const FINISHED: &str = "finished";

/// Where each story stands in the list, by official account and phone number.
struct Index<'a>(HashMap<(&'a str, &'a str), usize>);

impl<'a> Index<'a> {
    fn new(stories: &'a [Story]) -> Self {
        let key = |story: &'a Story| (story.official_account.as_str(), story.phone_number.as_str());
        Self(stories.iter().enumerate().map(|(index, story)| (key(story), index)).collect())
    }

    fn of(&self, official_account: &str, phone_number: &str) -> anyhow::Result<usize> {
        let index = self.0.get(&(official_account, phone_number)).copied();
        index
            .with_context(|| format!("{official_account} has a follower or talk room that no story tells of"))
    }
}

/// Reads and judges every story.
///
/// # Errors
/// When a node doesn't answer, or tells of a follower whom no story knows.
pub(super) async fn read<'a>(
    stories: &'a [Story],
    played: &Played<'_>,
    screen: &Screen,
) -> anyhow::Result<Vec<StoryEnd<'a>>> {
    let stage = screen.begin("judging", 2 * stories.len() as u64);
    let index = Index::new(stories);
    let unknown = Standing {
        outcome: FollowerOutcome::Unspecified,
        customer_id: Box::default(),
        reasons: Box::default(),
    };
    let mut standings = vec![unknown; stories.len()];
    for voice in &played.voices {
        let account = voice.account.id.as_str();
        let mut pages = pin!(voice.client.followers(account));
        while let Some(page) = pages.try_next().await? {
            stage.advance(page.len() as u64);
            for follower in page {
                let index = index.of(account, &follower.phone_number)?;
                standings[index] = standing(follower, &stories[index]);
            }
        }
    }
    let notices: HashMap<&str, &Notice> =
        played.voices.iter().map(|voice| (voice.account.id.as_str(), &voice.notice)).collect();
    let mut received = vec![Received::default(); stories.len()];
    let mut pages = pin!(played.terminal.talk_rooms(""));
    while let Some(page) = pages.try_next().await? {
        stage.advance(page.len() as u64);
        for room in page {
            let index = index.of(&room.official_account, &room.phone_number)?;
            let notice = notices.get(room.official_account.as_str()).context("a talk room of no account")?;
            count(&room, notice, standings[index].tied_to(), &mut received[index]);
            if room.step != FINISHED {
                let reasons = &mut standings[index].reasons;
                *reasons = format!("{reasons} (phone: {})", room.step).into();
            }
        }
    }
    stage.end("followers and talk rooms read");
    let ends = stories.iter().zip(standings).zip(received);
    Ok(ends.map(|((story, standing), received)| end(story, standing, received, played.distributed)).collect())
}

fn standing(follower: Follower, story: &Story) -> Standing {
    let outcome = follower.outcome();
    let as_told = word(outcome) == story.expected.as_str();
    Standing {
        outcome,
        customer_id: follower.customer_id.into(),
        reasons: if as_told { Box::default() } else { follower.reasons.join(", ").into() },
    }
}

/// Counts what a room showed beyond its dialogue.
fn count(room: &TalkRoom, notice: &Notice, tied_to: Option<&str>, received: &mut Received) {
    for line in &room.lines {
        let Some(line::What::Message(message)) = &line.what else { continue };
        let text = message.content.as_ref().map(|content| content.text.as_str()).unwrap_or_default();
        match (notice.recognise(text), message.traffic_type()) {
            (Text::Unknown, TrafficType::ServiceRequest) => {}
            (text, _) => received.count(text, tied_to),
        }
    }
}

fn end(story: &Story, standing: Standing, received: Received, distributed: bool) -> StoryEnd<'_> {
    let faults = judge(story, &standing, received, distributed);
    StoryEnd {
        phone_number: &story.phone_number,
        carrier: &story.carrier,
        official_account: &story.official_account,
        outcome: word(standing.outcome),
        customer_id: standing.customer_id,
        expected: story.expected.as_str(),
        expected_customer_id: story.expected_customer_id.as_deref().unwrap_or_default(),
        as_expected: !faults.iter().any(|fault| fault.is_of_the_story()),
        individual_received: received.individual,
        uniform_received: received.uniform,
        faults,
        reasons: standing.reasons,
    }
}

/// Three talk rooms as their persons saw them, drawn.
pub(super) async fn rooms(
    stories: &[StoryEnd<'_>],
    terminal: &TerminalClient,
) -> anyhow::Result<Vec<String>> {
    let mut drawn = Vec::new();
    for endings in DRAWN {
        let chosen = endings.iter().find_map(|ending| {
            let ended = |story: &&StoryEnd<'_>| story.outcome == ending.as_str();
            let rightly = stories.iter().filter(ended).find(|story| story.faults.is_empty());
            rightly.or_else(|| stories.iter().find(ended))
        });
        let Some(story) = chosen else { continue };
        let mut pages = pin!(terminal.talk_rooms(story.phone_number));
        while let Some(page) = pages.try_next().await? {
            let rooms = page.iter().filter(|room| room.official_account == story.official_account);
            drawn.extend(rooms.map(|room| talk_room::draw(room, story.outcome)));
        }
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use musubi_proto::{
        terminal::v1::{Line, ShownMessage},
        r#type::v1::Content,
    };

    use super::*;

    fn shown(text: &str, traffic_type: TrafficType) -> Line {
        let content = Content { text: text.to_owned(), suggestions: vec![], card: None };
        let message = ShownMessage {
            message_id: "msg_1".to_owned(),
            content: Some(content),
            traffic_type: traffic_type.into(),
        };
        Line { line_time: None, what: Some(line::What::Message(message)) }
    }

    #[test]
    fn steps_of_the_dialogue_do_not_count_and_messages_of_nobody_do() {
        let notice = Notice::new("aoba-bank", "青葉銀行", 1).unwrap();
        let uniform = notice.templates().0.text;
        let said = Line { line_time: None, what: Some(line::What::Said(uniform.clone())) };
        let lines = vec![
            shown("質問", TrafficType::ServiceRequest),
            said,
            shown(&uniform, TrafficType::Promotion),
            shown("だれの知らせでもない", TrafficType::Transaction),
        ];
        let mut received = Received::default();
        count(&TalkRoom { lines, ..TalkRoom::default() }, &notice, None, &mut received);
        assert_eq!(received, Received { uniform: 1, unknown: 1, ..Received::default() });
    }
}

//! What should be seen from outside at the end, held against what is: pure.
//!
//! Every function gives what is wrong, one line for each. Surprising: which step of the dialogue a message is stands in no
//! message; it is read off the buttons, as a person would.

use std::{
    collections::{HashMap, HashSet},
    iter,
};

use musubi_proto::{
    information::v1::{Distribution, DistributionState, Follower, FollowerOutcome},
    terminal::v1::{ShownMessage, TalkRoom, line},
    r#type::v1::{TrafficType, suggestion},
};
use musubi_terminal_simulator::story::{Expected, Reply, Story, UnfollowAfter};

use super::play::Sight;

/// The uniform message.
pub(super) const UNIFORM: &str = "皆さまへのお知らせ";
/// The individual message.
pub(super) const INDIVIDUAL: &str = "お客様番号 {customer} のお知らせ";

/// Whether everybody is where the story says, and nothing is under way.
pub(super) fn dialogues(stories: &[Story], sight: &Sight) -> Vec<String> {
    let mut faults = standing(stories, &sight.followers);
    let told: HashSet<_> =
        stories.iter().map(|story| (story.official_account.as_str(), story.phone_number.as_str())).collect();
    let strangers = sight
        .followers
        .iter()
        .map(|(account, follower)| (*account, follower.phone_number.as_str()))
        .filter(|known| !told.contains(known));
    faults.extend(strangers.map(|(account, number)| format!("{account} lists {number} without a story")));
    for tally in sight.messages.iter().filter(|tally| tally.count > 0 && tally.state != "displayed") {
        faults.push(format!("{} messages {} are {}", tally.count, tally.purpose, tally.state));
    }
    let progress = &sight.progress;
    if progress.pending_actions > 0 || progress.refused > 0 || progress.finished < progress.stories {
        let (finished, pending, refused) = (progress.finished, progress.pending_actions, progress.refused);
        faults.push(format!("{finished} stories finished, {pending} actions pending, {refused} refused"));
    }
    if progress.stories != stories.len() as u64 {
        faults.push(format!("{} stories are played", progress.stories));
    }
    faults
}

/// Whether those of the stories are where these say.
pub(super) fn standing(stories: &[Story], listed: &[(&'static str, Follower)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut followers: HashMap<_, _> = HashMap::new();
    for (account, follower) in listed {
        if followers.insert((*account, follower.phone_number.as_str()), follower).is_some() {
            faults.push(format!("{account} lists {} twice", follower.phone_number));
        }
    }
    for story in stories {
        let Some(follower) = followers.get(&(story.official_account.as_str(), story.phone_number.as_str()))
        else {
            faults.push(format!("{} is not listed", who(story)));
            continue;
        };
        if follower.outcome() != outcome(story.expected) {
            let (outcome, reasons) = (follower.outcome().as_str_name(), &follower.reasons);
            faults.push(format!("{} is {outcome} {reasons:?}", who(story)));
        } else if story.expected_customer_id.as_deref().unwrap_or_default() != follower.customer_id {
            faults.push(format!("{} is taken for {}", who(story), follower.customer_id));
        }
        if follower.suspended {
            faults.push(format!("{} is suspended", who(story)));
        }
    }
    faults
}

/// How many of the stories' people a distribution reaches.
pub(super) fn reached(stories: &[Story]) -> u64 {
    stories.iter().filter(|story| due(story) != Due::Nothing).count() as u64
}

/// Whether every delivery of a company's distribution was displayed, one for each who still follows.
pub(super) fn deliveries(stories: &[Story], account: &str, distribution: &Distribution) -> Vec<String> {
    let mut faults = Vec::new();
    if distribution.state() != DistributionState::Completed {
        faults.push(format!("the distribution of {account} is {}", distribution.state().as_str_name()));
    }
    let due =
        |kind| stories.iter().filter(|story| story.official_account == account && due(story) == kind).count();
    let mut counts: HashMap<_, _> = HashMap::new();
    for delivery in distribution.deliveries.iter().filter(|delivery| delivery.count > 0) {
        counts.insert((delivery.kind.as_str(), delivery.state.as_str()), delivery.count);
    }
    for (kind, due) in [("individual", due(Due::Individual)), ("uniform", due(Due::Uniform))] {
        if counts.remove(&(kind, "displayed")).unwrap_or_default() != due as u64 {
            faults.push(format!("not all of {due} {kind} deliveries of {account} are displayed"));
        }
    }
    faults.extend(counts.iter().map(|((kind, state), count)| format!("{account}: {count} {kind} {state}")));
    let sum: u64 = distribution.deliveries.iter().map(|delivery| delivery.count).sum();
    if distribution.created != sum {
        faults.push(format!("{account} created {} deliveries and counts {sum}", distribution.created));
    }
    faults
}

/// Whether every talk room shows what the story and the account's distributions entail, each once and in order, and nothing
/// else. `sent` is how many distributions an account has sent.
pub(super) fn talk_rooms(stories: &[Story], rooms: &[TalkRoom], sent: impl Fn(&str) -> usize) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = HashSet::new();
    let mut by_story: HashMap<_, _> = HashMap::new();
    for room in rooms {
        for message in messages(room) {
            if !ids.insert(message.message_id.as_str()) {
                faults.push(format!("{} was shown twice", message.message_id));
            }
        }
        if by_story.insert((room.official_account.as_str(), room.phone_number.as_str()), room).is_some() {
            faults.push(format!("{} has two rooms with {}", room.phone_number, room.official_account));
        }
    }
    for story in stories {
        let Some(room) = by_story.remove(&(story.official_account.as_str(), story.phone_number.as_str()))
        else {
            faults.push(format!("{} has no room", who(story)));
            continue;
        };
        let shown: Vec<String> = messages(room).map(recognise).collect();
        let entailed = entailed(story, sent(&story.official_account));
        if shown != entailed {
            faults.push(format!("{} was shown {shown:?}, not {entailed:?}", who(story)));
        }
        let said = room.lines.iter().filter(|line| matches!(line.what, Some(line::What::Said(_)))).count();
        if said != answers(story) {
            faults.push(format!("{} answered {said} times, not {}", who(story), answers(story)));
        }
    }
    faults.extend(by_story.keys().map(|(account, number)| format!("{number} has a room with {account}")));
    faults
}

/// What a distribution has for a follower.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Uniform,
    Individual,
}

fn due(story: &Story) -> Due {
    match story.expected {
        Expected::Unfollowed => Due::Nothing,
        Expected::Confirmed => Due::Individual,
        Expected::Rejected
        | Expected::Review
        | Expected::NoAccount
        | Expected::Declined
        | Expected::Unanswered => Due::Uniform,
    }
}

/// Whether the story goes through the whole dialogue.
fn goes_all_the_way(story: &Story) -> bool {
    story.reply == Reply::Confirm && story.unfollow_after != UnfollowAfter::Question
}

/// Everything that the story's person is shown, in order, when so many distributions were sent.
fn entailed(story: &Story, sent: usize) -> Vec<String> {
    let mut shown = vec!["question"];
    if goes_all_the_way(story) {
        shown.extend(["account", "identity", "result"]);
    }
    let mut shown: Vec<String> = shown.into_iter().map(str::to_owned).collect();
    let message = match due(story) {
        Due::Nothing => return shown,
        Due::Uniform => UNIFORM.to_owned(),
        Due::Individual => {
            INDIVIDUAL.replace("{customer}", story.expected_customer_id.as_deref().unwrap_or_default())
        }
    };
    shown.extend(iter::repeat_n(message, sent));
    shown
}

/// How often the story's person says something: answers the question, types the number, chooses the method.
fn answers(story: &Story) -> usize {
    match story.reply {
        Reply::Confirm if goes_all_the_way(story) => 3,
        Reply::NoAccount | Reply::Decline => 1,
        Reply::Confirm | Reply::Ignore => 0,
    }
}

fn messages(room: &TalkRoom) -> impl Iterator<Item = &ShownMessage> {
    room.lines.iter().filter_map(|line| match &line.what {
        Some(line::What::Message(message)) => Some(message),
        Some(
            line::What::Said(_) | line::What::Opened(_) | line::What::Followed(_) | line::What::Proved(_),
        )
        | None => None,
    })
}

/// The step of the dialogue that a message is, or the text of a distribution's.
fn recognise(message: &ShownMessage) -> String {
    let content = message.content.as_ref().unwrap();
    let opens = |button: &&musubi_proto::r#type::v1::Suggestion| {
        matches!(button.action, Some(suggestion::Action::OpenUrl(_)))
    };
    let (buttons, pages) = (content.suggestions.len(), content.suggestions.iter().filter(opens).count());
    let step = match (message.traffic_type(), buttons, pages) {
        (TrafficType::Transaction, ..) if content.text != UNIFORM => &content.text,
        (TrafficType::Promotion, ..) if content.text == UNIFORM => UNIFORM,
        (TrafficType::ServiceRequest, 3, 1) => "question",
        (TrafficType::ServiceRequest, 0, 0) => "account",
        (TrafficType::ServiceRequest, 2, 2) => "identity",
        (TrafficType::ServiceRequest, 1 | 2, 0) => "result",
        (
            TrafficType::Transaction
            | TrafficType::Promotion
            | TrafficType::ServiceRequest
            | TrafficType::Unspecified,
            ..,
        ) => "unknown",
    };
    step.to_owned()
}

fn outcome(expected: Expected) -> FollowerOutcome {
    match expected {
        Expected::Confirmed => FollowerOutcome::Confirmed,
        Expected::Rejected => FollowerOutcome::Rejected,
        Expected::Review => FollowerOutcome::Review,
        Expected::NoAccount => FollowerOutcome::NoAccount,
        Expected::Declined => FollowerOutcome::Declined,
        Expected::Unanswered => FollowerOutcome::Unanswered,
        Expected::Unfollowed => FollowerOutcome::Unfollowed,
    }
}

/// Names a story; the people are invented.
fn who(story: &Story) -> String {
    format!("{} at {} ({})", story.phone_number, story.official_account, story.story)
}

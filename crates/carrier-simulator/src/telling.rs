//! What the carrier tells of its work once it is stored or answered: counts for metrics, and steps of the stories that are told.
//!
//! Both faces tell the same steps. Surprising: the other side takes an event of RCS Business Messaging under an id that it derives, so the
//! step of a report is named by that one.

use musubi_domain::{
    id::{MessageId, OfficialAccountId, rbm_event_id},
    phone_number::PhoneNumber,
};
use musubi_proto::{
    carrier::v1::OutgoingMessage,
    information::v1::{CarrierEvent, Responded, carrier_event::What, responded::How},
    r#type::v1::TrafficType,
};
use musubi_runtime::telemetry::story::{Began, Step, Story, Telling};
use musubi_storage::carrier::{AgentEvent, AgentEventKind};

use crate::metrics::VERDICTS;

/// The stories that a message stands in: its own, and that of the talk room whose dialogue it belongs to.
pub(crate) struct Carried {
    message_id: Option<MessageId>,
    stories: [Option<Story>; 2],
}

impl Carried {
    /// A message as the information-management server sends it.
    pub(crate) fn of_outgoing(account: &OfficialAccountId, message: &OutgoingMessage) -> Self {
        let id = message.message_id.parse().ok();
        Self::of(account, id, message.traffic_type(), || message.msisdn.parse().ok())
    }

    /// A message of this id, if it has one; a dialogue's is a service request.
    pub(crate) fn of(
        account: &OfficialAccountId,
        message_id: Option<MessageId>,
        traffic: TrafficType,
        number: impl FnOnce() -> Option<PhoneNumber>,
    ) -> Self {
        let number = if traffic == TrafficType::ServiceRequest { number() } else { None };
        let room = number.and_then(|number| Story::of_talk_room(account, &number));
        Self { message_id, stories: [message_id.and_then(Story::of_message), room] }
    }

    /// What became of it.
    pub(crate) fn tell(self, decision: &'static str, began: Began) {
        VERDICTS.add(1, [decision]);
        let Some(id) = self.message_id else { return };
        for story in self.stories.into_iter().flatten() {
            let step = story.step(Step::Carry, id.as_bytes(), began).under(Step::Send, id.as_bytes());
            step.with("musubi.outcome", decision).tell();
        }
    }
}

/// What was reported by the carriers' contract.
pub(crate) fn reported(events: &[CarrierEvent], began: Began) {
    for event in events {
        let (Ok(account), Ok(number)) = (event.official_account.parse(), event.msisdn.parse()) else {
            continue;
        };
        let of = match &event.what {
            Some(What::Receipt(receipt)) => Of::Message(&receipt.message_id),
            Some(What::Responded(Responded { how: Some(How::Postback(postback)) })) => Of::Tap(postback),
            Some(
                What::Followed(_) | What::Responded(_) | What::Unfollowed(_) | What::NumberReassigned(_),
            ) => Of::TalkRoom,
            None => continue,
        };
        report(&account, &number, &of, &event.event_id, began);
    }
}

/// What an agent's webhook was told.
pub(crate) fn posted(account: &OfficialAccountId, agent: &str, event: &AgentEvent, began: Began) {
    let Some(number) = &event.number else { return };
    let (of, is_message) = match &event.kind {
        AgentEventKind::Delivered(id) | AgentEventKind::Displayed(id) => (Of::Message(id), false),
        AgentEventKind::Expired { client_id, .. } => (Of::Message(client_id), false),
        AgentEventKind::Tapped { postback, .. } => (Of::Tap(postback), true),
        AgentEventKind::Typed(_) | AgentEventKind::Left => (Of::TalkRoom, true),
        AgentEventKind::Subscribed | AgentEventKind::Unsubscribed => (Of::TalkRoom, false),
        AgentEventKind::Launched { .. } => return,
    };
    let id = rbm_event_id(agent, is_message, &event.event_id.to_string());
    report(account, number, &of, &id, began);
}

/// What a report is of.
enum Of<'a> {
    /// A message, by its id.
    Message(&'a str),
    /// A tap, by its postback.
    Tap(&'a str),
    /// Something else that a person did.
    TalkRoom,
}

fn report(account: &OfficialAccountId, number: &PhoneNumber, of: &Of<'_>, event_id: &str, began: Began) {
    let in_room = || Story::of_talk_room(account, number);
    let step = |story: Story| story.step(Step::Report, event_id, began);
    let told = match of {
        Of::Message(id) => id
            .parse()
            .ok()
            .and_then(|id: MessageId| Some(step(Story::of_message(id)?).under(Step::Carry, id.as_bytes()))),
        Of::Tap(postback) => in_room().map(|story| step(story).under(Step::Answer, postback)),
        Of::TalkRoom => in_room().map(|story| step(story).under(Step::Follow, "")),
    };
    told.into_iter().for_each(Telling::tell);
}

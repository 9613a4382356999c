//! What the terminals tell of what people do and see: steps of the stories that are told.

use musubi_domain::id::{CarrierId, MessageId};
use musubi_proto::{
    carrier::v1::{Action, IncomingMessage, action::What},
    r#type::v1::TrafficType,
};
use musubi_runtime::telemetry::story::{Began, Step, Story};

use crate::metrics::SHOWN;

/// What people did was taken by their carrier.
pub(crate) fn did(actions: &[Action], began: Began) {
    for Action { msisdn, official_account, what } in actions {
        let (Some(what), Ok(account), Ok(number)) = (what, official_account.parse(), msisdn.parse()) else {
            continue;
        };
        match what {
            What::Follow(_) => {
                if let Some(story) = Story::of_talk_room(&account, &number) {
                    story.step(Step::Follow, "", began).tell();
                }
            }
            What::Tapped(it) => {
                let Some(story) = Story::of_talk_room(&account, &number) else { continue };
                let step = story.step(Step::Answer, &it.postback, began);
                match it.message_id.parse::<MessageId>() {
                    Ok(id) => step.under(Step::Show, id.as_bytes()).tell(),
                    Err(_) => step.under(Step::Follow, "").tell(),
                }
            }
            What::Typed(_)
            | What::Unfollow(_)
            | What::Delivered(_)
            | What::Displayed(_)
            | What::Surrendered(_)
            | What::Released(_)
            | What::Assigned(_)
            | What::PortedIn(_) => {}
        }
    }
}

/// Messages that phones show: each in its own story, and those of dialogues in their talk room's.
pub(crate) struct Shown {
    count: usize,
    told: Vec<(MessageId, Story)>,
}

impl Shown {
    pub(crate) fn of(messages: &[IncomingMessage]) -> Self {
        let told = messages.iter().flat_map(|message| {
            let id: Option<MessageId> = message.message_id.parse().ok();
            let room = (message.traffic_type() == TrafficType::ServiceRequest)
                .then(|| Some((message.official_account.parse().ok()?, message.msisdn.parse().ok()?)))
                .flatten()
                .and_then(|(account, number)| Story::of_talk_room(&account, &number));
            let stories = [id.and_then(Story::of_message), room];
            id.into_iter().flat_map(move |id| stories.into_iter().flatten().map(move |story| (id, story)))
        });
        Self { count: messages.len(), told: told.collect() }
    }

    pub(crate) fn tell(self, carrier: &CarrierId, began: Began) {
        SHOWN.add(self.count as u64, [carrier.as_str()]);
        for (id, story) in self.told {
            story.step(Step::Show, id.as_bytes(), began).under(Step::Carry, id.as_bytes()).tell();
        }
    }
}

//! What a person does on seeing a message, by the story: pure, a step and a message in, a step and deeds out.
//!
//! It knows no database, no carrier and no time. It sees only what a person sees, never a dialogue's id or state. Surprising:
//! a message is recognised by its shape and the moment alone, so the one without buttons is the account message while the
//! person waits for that, and the result while the person waits for the result.

#[cfg(test)]
mod tests;

use musubi_proto::{
    carrier::v1::{IncomingMessage, action::What},
    r#type::v1::{Suggestion, TrafficType, suggestion},
};

use crate::story::{IdentityMethod, Reply, UnfollowAfter};

/// How often a person types the account number, or opens a page, in all.
const PATIENCE: u8 = 3;
/// The button that only confirmed people get.
const UNTIE: &str = "連携を解除する";

/// What of a story decides how its person acts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The answer to the question.
    pub reply: Reply,
    /// What is typed when the account number is asked for.
    pub account_text: Box<str>,
    /// How the person is verified.
    pub method: Option<IdentityMethod>,
    /// When the person leaves.
    pub unfollow_after: UnfollowAfter,
}

/// Where a story stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The carrier hasn't confirmed the follow.
    Joining,
    /// Waits for the question.
    Following,
    /// Answered with "no account" or "no"; the carrier hasn't confirmed the tap.
    Asked,
    /// Wants personal messages; waits for the account message.
    Account,
    /// Has typed the account number so often; waits for the identity message.
    Identity {
        /// From 1.
        typed: u8,
    },
    /// Has opened so many pages; waits for the result.
    Verifying {
        /// From 1.
        opened: u8,
    },
    /// The carrier hasn't confirmed the unfollow.
    Leaving,
    /// Waits for nothing.
    Finished,
}

impl Step {
    /// The words for the steps, in the order in which a story takes them.
    pub(crate) const WORDS: [&'static str; 8] =
        ["joining", "following", "asked", "account", "identity", "verifying", "leaving", "finished"];

    /// Its place in [`Self::WORDS`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Joining => 0,
            Self::Following => 1,
            Self::Asked => 2,
            Self::Account => 3,
            Self::Identity { .. } => 4,
            Self::Verifying { .. } => 5,
            Self::Leaving => 6,
            Self::Finished => 7,
        }
    }

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        Self::WORDS[self.index()]
    }

    /// As the store keeps it: the place times 4, and how often.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Joining => 0,
            Self::Following => 4,
            Self::Asked => 8,
            Self::Account => 12,
            Self::Identity { typed } => 16 + typed,
            Self::Verifying { opened } => 20 + opened,
            Self::Leaving => 24,
            Self::Finished => 28,
        }
    }

    /// From what the store kept, if it is a step.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        let step = match code / 4 {
            0 => Self::Joining,
            1 => Self::Following,
            2 => Self::Asked,
            3 => Self::Account,
            4 => Self::Identity { typed: code % 4 },
            5 => Self::Verifying { opened: code % 4 },
            6 => Self::Leaving,
            7 => Self::Finished,
            _ => return None,
        };
        if step.code() == code { Some(step) } else { None }
    }
}

/// A message as a person takes it.
#[derive(Clone, PartialEq)]
pub(crate) enum Seen<'a> {
    /// Do you want personal information? Three buttons, of which the second opens a page.
    Question {
        /// B1.
        confirm: &'a Suggestion,
        /// B2.
        no_account: &'a Suggestion,
        /// What B2 opens.
        page: &'a str,
        /// B3.
        decline: &'a Suggestion,
    },
    /// How do you prove who you are? Buttons that open verifiers' pages.
    Identity(Vec<Offer<'a>>),
    /// You are confirmed: the first button ends the tie.
    Confirmed,
    /// A step of the dialogue with one other button.
    OneButton,
    /// A step of the dialogue without buttons.
    NoButton,
    /// Another step of the dialogue.
    OtherStep,
    /// Not a step of the dialogue.
    Distribution,
}

/// One way to be verified.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Offer<'a> {
    method: IdentityMethod,
    button: &'a Suggestion,
    page: &'a str,
}

/// What a person does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Deed<'a> {
    /// Taps a button.
    Tap(&'a Suggestion),
    /// Types.
    Type(&'a str),
    /// Looks at a page.
    Open(&'a str),
    /// Shows a credential on a verifier's page.
    Authenticate(&'a str),
    /// Ceases to follow.
    Unfollow,
}

/// What a person takes a message for.
pub(crate) fn recognise(message: &IncomingMessage) -> Seen<'_> {
    if message.traffic_type() != TrafficType::ServiceRequest {
        return Seen::Distribution;
    }
    let buttons = message.content.as_ref().map_or(&[][..], |content| &content.suggestions);
    if let [confirm, no_account, decline] = buttons
        && let (None, Some(page), None) = (page(confirm), page(no_account), page(decline))
    {
        return Seen::Question { confirm, no_account, page, decline };
    }
    let offers: Vec<_> = buttons.iter().filter_map(offer).collect();
    match buttons {
        _ if !offers.is_empty() => Seen::Identity(offers),
        [] => Seen::NoButton,
        [button, ..] if button.text == UNTIE => Seen::Confirmed,
        [_] => Seen::OneButton,
        [_, _, ..] => Seen::OtherStep,
    }
}

fn page(button: &Suggestion) -> Option<&str> {
    match button.action.as_ref()? {
        suggestion::Action::OpenUrl(open) => Some(&open.url),
        suggestion::Action::Dial(_) => None,
    }
}

fn offer(button: &Suggestion) -> Option<Offer<'_>> {
    let page = page(button)?;
    let (host, _) = page.strip_prefix("https://")?.split_once('.')?;
    let method = IdentityMethod::ALL.iter().copied().find(|method| method.as_str() == host)?;
    Some(Offer { method, button, page })
}

/// What the person does on seeing a message for the first time, in this order, and where the story stands then.
pub(crate) fn react<'a>(script: &'a Script, step: Step, seen: &Seen<'a>) -> (Step, Vec<Deed<'a>>) {
    match (step, seen) {
        (Step::Joining | Step::Following, Seen::Question { confirm, no_account, page, decline }) => {
            match (script.unfollow_after, script.reply) {
                (UnfollowAfter::Question, _) => (Step::Leaving, vec![Deed::Unfollow]),
                (_, Reply::Confirm) => (Step::Account, vec![Deed::Tap(confirm)]),
                (_, Reply::NoAccount) => (Step::Asked, vec![Deed::Tap(no_account), Deed::Open(page)]),
                (_, Reply::Decline) => (Step::Asked, vec![Deed::Tap(decline)]),
                (_, Reply::Ignore) => (Step::Finished, Vec::new()),
            }
        }
        (Step::Account, Seen::NoButton) => type_account(script, 0),
        (Step::Identity { typed }, Seen::NoButton) => type_account(script, typed),
        (Step::Account | Step::Identity { .. }, Seen::Identity(offers)) => authenticate(script, offers, 0),
        (Step::Verifying { opened }, Seen::Identity(offers)) => authenticate(script, offers, opened),
        // A case that went to the company's operators may be confirmed long after the person was told to wait.
        (
            Step::Account | Step::Identity { .. } | Step::Verifying { .. } | Step::Finished,
            Seen::Confirmed,
        ) if script.unfollow_after == UnfollowAfter::Confirmed => (Step::Leaving, vec![Deed::Unfollow]),
        (
            Step::Account | Step::Identity { .. } | Step::Verifying { .. },
            Seen::Confirmed | Seen::OneButton,
        )
        | (Step::Verifying { .. }, Seen::NoButton | Seen::OtherStep) => (Step::Finished, Vec::new()),
        (
            _,
            Seen::Question { .. }
            | Seen::Identity(_)
            | Seen::Confirmed
            | Seen::OneButton
            | Seen::NoButton
            | Seen::OtherStep
            | Seen::Distribution,
        ) => (step, Vec::new()),
    }
}

fn type_account(script: &Script, typed: u8) -> (Step, Vec<Deed<'_>>) {
    if typed == PATIENCE {
        return (Step::Finished, Vec::new());
    }
    (Step::Identity { typed: typed + 1 }, vec![Deed::Type(&script.account_text)])
}

fn authenticate<'a>(script: &Script, offers: &[Offer<'a>], opened: u8) -> (Step, Vec<Deed<'a>>) {
    match offers.iter().find(|offer| Some(offer.method) == script.method) {
        Some(offer) if opened < PATIENCE => (
            Step::Verifying { opened: opened + 1 },
            vec![Deed::Tap(offer.button), Deed::Authenticate(offer.page)],
        ),
        Some(_) | None => (Step::Finished, Vec::new()),
    }
}

/// Where a story stands when the carrier has confirmed something that its person did.
pub(crate) const fn confirmed(step: Step, what: &What) -> Step {
    match (step, what) {
        (Step::Joining, What::Follow(_)) => Step::Following,
        (Step::Asked, What::Tapped(_)) | (Step::Leaving, What::Unfollow(_)) => Step::Finished,
        (
            _,
            What::Follow(_)
            | What::Unfollow(_)
            | What::Delivered(_)
            | What::Displayed(_)
            | What::Tapped(_)
            | What::Typed(_)
            | What::Surrendered(_)
            | What::Released(_)
            | What::Assigned(_)
            | What::PortedIn(_),
        ) => step,
    }
}

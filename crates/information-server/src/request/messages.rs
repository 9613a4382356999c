//! The messages of the dialogue (figs. 7, 8, 9 and the result) as contents.
//!
//! Pure and derived: the same dialogue and step give the same content, buttons and links included, so that a message that is
//! sent again is the same message.

use musubi_domain::{
    content::{Action, Content, SUGGESTIONS_LIMIT, Suggestion},
    delivery::Purpose,
    dialogue::Choice,
    id::{DialogueId, DistributionId, FollowerId, TieId},
    postback::{Button, Postback, TokenKey},
};

use crate::{
    confirmation::verifier::{Binding, Verifiers},
    directory::{Account, Company},
};

/// Makes the dialogue's contents.
#[derive(Clone, Debug)]
pub struct RequestMessages {
    tokens: TokenKey,
}

/// A step of a dialogue that is about to be said.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Who says it.
    pub account: &'a Account,
    /// Whose account it is.
    pub company: &'a Company,
    /// In which dialogue.
    pub dialogue: DialogueId,
    /// At which step.
    pub step: u16,
}

impl RequestMessages {
    /// Buttons carry tokens of this key.
    #[must_use]
    pub const fn new(tokens: TokenKey) -> Self {
        Self { tokens }
    }

    /// The content of a dialogue's message. `None` for a purpose that is no dialogue's.
    #[must_use]
    pub fn content(&self, purpose: Purpose, step: Step<'_>, verifiers: &Verifiers) -> Option<Content> {
        let texts = &step.account.texts;
        let reply = |label: &str, choice| self.button(step, label, choice, None);
        let tie = TieId::derive(step.dialogue);
        let (text, suggestions) = match purpose {
            Purpose::Question => {
                let opening = Action::OpenUrl { url: texts.account_opening_url.clone(), webview: false };
                let buttons = vec![
                    reply(&texts.confirm, Choice::Confirm),
                    self.button(step, &texts.no_account, Choice::NoAccount, Some(opening)),
                    reply(&texts.decline, Choice::Decline),
                ];
                (&texts.question, buttons)
            }
            Purpose::Account => (&texts.account, vec![]),
            Purpose::AccountAgain => (&texts.account_again, vec![]),
            Purpose::Identity => (&texts.identity, self.methods(step, verifiers)),
            Purpose::Confirmed => {
                (&texts.confirmed, vec![reply(&texts.untie, Choice::Untie), self.not_me(step.account, tie)])
            }
            Purpose::Renewal => {
                let buttons = vec![
                    reply(&texts.renew, Choice::Renew),
                    reply(&texts.untie, Choice::Untie),
                    self.not_me(step.account, tie),
                ];
                (&texts.renewal, buttons)
            }
            Purpose::NotConfirmed => (&texts.not_confirmed, vec![reply(&texts.try_again, Choice::TryAgain)]),
            Purpose::ReviewRejected => {
                (&texts.review_rejected, vec![reply(&texts.try_again, Choice::TryAgain)])
            }
            Purpose::EraseAsked => (&texts.erase_asked, vec![reply(&texts.erase, Choice::Erase)]),
            Purpose::Erasing => (&texts.erasing, vec![]),
            Purpose::Undecided | Purpose::Individual | Purpose::Uniform => return None,
        };
        Some(Content { text: text.clone(), suggestions, card: None })
    }

    /// Names the buttons of a distribution's message to a follower, so that a tap tells which of them it was. What the company called them stays with it.
    pub fn name_buttons(
        &self,
        content: &mut Content,
        (distribution, individual): (DistributionId, bool),
        follower: FollowerId,
    ) {
        for (place, suggestion) in (0..).zip(&mut content.suggestions) {
            let button = Button { distribution, individual, place };
            suggestion.postback = self.tokens.seal_button(&button, follower);
        }
    }

    /// Offers below an individual message to say "this is not me"; not where there is no room for one more button, which older
    /// drafts may lack.
    pub fn offer_not_me(&self, content: &mut Content, account: &Account, tie: TieId) {
        if content.suggestions.len() < SUGGESTIONS_LIMIT {
            content.suggestions.push(self.not_me(account, tie));
        }
    }

    fn not_me(&self, account: &Account, tie: TieId) -> Suggestion {
        let (label, postback) = (account.texts.not_me.clone(), self.tokens.seal_not_me(tie));
        Suggestion { label, postback, action: None }
    }

    fn methods(&self, step: Step<'_>, verifiers: &Verifiers) -> Vec<Suggestion> {
        let texts = &step.account.texts;
        verifiers
            .offered(&step.company.methods)
            .map(|verifier| {
                let method = verifier.method();
                let label = match method {
                    musubi_domain::identity::IdentityMethod::Jpki => &texts.jpki,
                    musubi_domain::identity::IdentityMethod::Carrier => &texts.carrier,
                    musubi_domain::identity::IdentityMethod::Document => &texts.document,
                };
                let binding = Binding { account: &step.account.id, dialogue: step.dialogue, step: step.step };
                let action = Action::OpenUrl { url: verifier.start(&binding), webview: true };
                self.button(step, label, Choice::Method(method), Some(action))
            })
            .collect()
    }

    fn button(&self, step: Step<'_>, label: &str, choice: Choice, action: Option<Action>) -> Suggestion {
        let postback = Postback { dialogue: step.dialogue, step: step.step, choice };
        Suggestion { label: label.to_owned(), postback: self.tokens.seal_postback(&postback), action }
    }
}

#[cfg(test)]
mod tests {
    use musubi_domain::postback::Tapped;

    use super::*;

    #[test]
    fn a_distributions_buttons_are_named_by_their_places_and_say_what_they_said() {
        let tokens = TokenKey::new(&[7; 32]).unwrap();
        let messages = RequestMessages::new(tokens.clone());
        let suggestion =
            |label: &str| Suggestion { label: label.to_owned(), postback: "more".to_owned(), action: None };
        let suggestions = vec![suggestion("残高"), suggestion("明細")];
        let mut content = Content { text: "お知らせ".to_owned(), suggestions, card: None };
        let (distribution, follower) = (DistributionId::from_bytes([5; 16]), FollowerId::from_bytes([9; 16]));
        messages.name_buttons(&mut content, (distribution, false), follower);
        let named: Vec<_> = content
            .suggestions
            .iter()
            .map(|it| (it.label.as_str(), tokens.open(&it.postback, follower)))
            .collect();
        let button = |place| Some(Tapped::Button(Button { distribution, individual: false, place }));
        assert_eq!(named, [("残高", button(0)), ("明細", button(1))]);
    }
}

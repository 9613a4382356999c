//! A thousand bots guess account numbers a hundred times each, over restarts: no limit is passed, whatever they try (I13).
//!
//! Each has a number of its own and follows anew whenever its dialogue is over; a hundred cards pass from hand to hand. What is
//! counted here is what reached the master, by the inquiries that were stored. Surprising: nobody is ever right, because no guess
//! matters that a limit has stopped.

use std::collections::HashMap;

use musubi_domain::{
    customer::{MatchDecision, MatchOutcome},
    dialogue::Event,
    identity::AttestedIdentity,
};
use musubi_storage::information::flow::Work;

use super::*;

const BOTS: usize = 1_000;
const GUESSES: usize = 100;
const CARDS: usize = 100;
/// Account numbers that the bots are after; they try no others.
const NUMBERS: usize = 400;
/// How often a bot follows anew, in guesses, and how often the server is started anew.
const ANEW: usize = 10;
const RESTART: usize = 25;

struct Bots {
    server: Fixture,
    keys: Vec<FollowerKey>,
    /// Those who are not locked, as far as was seen.
    awake: Vec<usize>,
    /// Tries that reached the master, by follower, by number and by person.
    reached: [HashMap<String, u32>; 3],
}

fn number(bot: usize) -> String {
    format!("+8190{bot:08}")
}

fn card(bot: usize) -> String {
    format!("持ち主 {}", bot % CARDS)
}

impl Bots {
    /// The same for all bots: an event each, in one batch.
    async fn all(&self, what: impl Fn(usize) -> Option<What>) {
        let event = |bot: usize| Some(CarrierEvent { msisdn: number(bot), ..self.server.event(what(bot)?) });
        let events: Vec<_> = (0..BOTS).filter_map(event).collect();
        for batch in events.chunks(1_000) {
            self.server.events.take(&id("kumo"), batch.to_vec()).await.unwrap();
        }
    }

    /// A unit of work with these bots.
    async fn unit(&self, bots: &[usize], mut edit: impl FnMut(&mut Work, &Scene<'_>) + Send) {
        let followers = bots.iter().map(|bot| self.keys[*bot].clone()).collect();
        let scope = Scope { followers, ..Scope::default() };
        let (account, company) = self.server.directory.account_and_company(&id("bank")).unwrap();
        let now = self.server.clock.now();
        let scene = Scene { account, company, now };
        self.server.store.work("bots", &scope, now, &mut |work| edit(work, &scene)).await.unwrap();
    }

    /// Where those who are awake stand, and what they have to show next.
    async fn stand(&self) -> HashMap<usize, (State, String)> {
        let mut stand = HashMap::new();
        let tokens = self.server.tokens.clone();
        self.unit(&self.awake, |work, _| {
            for bot in &self.awake {
                let record = work.followers.get(&self.keys[*bot]);
                let Some(dialogue) = record.and_then(|record| record.dialogue.as_ref()) else { continue };
                let (id, step) = (dialogue.id, dialogue.step);
                let token = if dialogue.state == State::IdentityAsked {
                    tokens.seal_nonce(&Nonce { dialogue: id, step, method: IdentityMethod::Jpki })
                } else {
                    tokens.seal_postback(&Postback { dialogue: id, step, choice: Choice::Confirm })
                };
                stand.insert(*bot, (dialogue.state, token));
            }
        })
        .await;
        stand
    }

    async fn follow_anew(&mut self) {
        self.awake = (0..BOTS).collect();
        self.server.clock.advance(SignedDuration::from_secs(1));
        self.all(|_| Some(What::Unfollowed(Unfollowed {}))).await;
        self.server.clock.advance(SignedDuration::from_secs(1));
        self.all(|_| Some(What::Followed(Followed {}))).await;
        self.unit(&self.awake, |work, scene| {
            for key in &self.keys {
                scene.tell(work, key, &Event::Due);
            }
        })
        .await;
        let stand = self.stand().await;
        self.all(|bot| {
            let (_, token) = stand.get(&bot)?.clone();
            Some(What::Responded(Responded { how: Some(How::Postback(token)) }))
        })
        .await;
    }

    /// Everybody types a number and shows a card; what reaches the master is counted and rejected.
    async fn guess(&mut self, round: usize) {
        self.server.clock.advance(SignedDuration::from_secs(60));
        let typed = |bot: usize| format!("{:07}", 1_000_000 + (bot * 7 + round) % NUMBERS);
        self.all(|bot| Some(What::Responded(Responded { how: Some(How::Text(typed(bot))) }))).await;
        let stand = self.stand().await;
        let now = self.server.clock.now().as_second();
        let mut assertions = Vec::new();
        self.awake.retain(|bot| stand.get(bot).is_some_and(|(state, _)| *state != State::Locked));
        let mut tries = Vec::new();
        for (bot, (state, nonce)) in stand {
            if state != State::IdentityAsked {
                continue;
            }
            tries.push(bot);
            let claims = json!({
                "iss": self.server.jpki.published.issuer, "aud": "bank", "nonce": nonce, "phone_number": number(bot),
                "method": "jpki", "name": card(bot + round), "birth_date": "1990-01-02", "address": "東京都港区一丁目1-1",
                "assurance": "high", "iat": now, "exp": now + 600, "jti": format!("{bot}-{round}"),
            });
            assertions.push(assertions::sign(&self.server.jpki, &claims));
        }
        for batch in assertions.chunks(1_000) {
            self.server.assertions.take(&id("kumo"), batch.to_vec()).await.unwrap();
        }
        self.reject(&tries).await;
    }

    async fn reject(&mut self, tries: &[usize]) {
        let mut reached = Vec::new();
        let keyring = self.server.keyring.clone();
        self.unit(tries, |work, scene| {
            reached.clear();
            for key in tries.iter().map(|bot| &self.keys[*bot]) {
                let Some(inquiry) = work.followers.get(key).and_then(|record| record.inquiry.clone()) else {
                    continue;
                };
                let AttestedIdentity { name, .. } = &inquiry.identity;
                reached.push([
                    format!("{:?}", key.follower),
                    inquiry.account.account_number.clone(),
                    name.clone(),
                ]);
                let decision =
                    MatchDecision { outcome: MatchOutcome::Rejected, customer_id: None, reasons: vec![] };
                scene.decide(work, key, &inquiry, &decision, &keyring);
            }
        })
        .await;
        for subjects in reached {
            for (counts, subject) in self.reached.iter_mut().zip(subjects) {
                *counts.entry(subject).or_default() += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_thousand_bots_pass_no_limit_over_restarts() {
    let server = Fixture::new().await;
    let account: OfficialAccountId = id("bank");
    let key = |bot| FollowerKey {
        account: account.clone(),
        follower: server.keyring.follower(&account, &id::<PhoneNumber>(&number(bot))),
    };
    let keys = (0..BOTS).map(key).collect();
    let mut bots = Bots { server, keys, awake: vec![], reached: Default::default() };
    for round in 0..GUESSES {
        if round % ANEW == 0 {
            bots.follow_anew().await;
        }
        if round % RESTART == RESTART - 1 {
            bots.server = bots.server.restart().await;
        }
        bots.guess(round).await;
    }
    let limits = Limits::default();
    let [followers, numbers, persons] = &bots.reached;
    let most = |counts: &HashMap<String, u32>| counts.values().copied().max().unwrap_or_default();
    let total: u32 = persons.values().sum();
    assert!(most(followers) <= limits.follower, "a follower reached the master {} times", most(followers));
    assert!(most(persons) <= limits.person, "a person reached the master {} times", most(persons));
    assert!(total > 0 && total <= limits.company, "{total} tries reached the master");
    // A hundred cards of five tries each, whatever a thousand numbers do.
    assert_eq!(total, u32::try_from(CARDS).unwrap() * limits.person);
    assert!(numbers.len() > NUMBERS / 4, "the bots tried {} numbers", numbers.len());
}

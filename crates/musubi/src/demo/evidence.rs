//! What the nodes say at the end, brought into the words of the report: pure.
//!
//! Counts come from the company's view (funnel, tallies, distribution) and from the phones' (progress). Surprising: the steps are
//! not a log; each is counted at the end from what is there.

use musubi_proto::{
    information::v1::{Distribution, FollowerOutcome, Funnel as WireFunnel, GetFunnelResponse, MessageTally},
    terminal::v1::GetProgressResponse,
};

use super::report::{Delivery, Funnel, Step};
use crate::cluster::Matching;

/// What the nodes say at the end.
pub(super) struct Evidence {
    /// Customers imported, over all companies.
    pub(super) customers: u64,
    /// What the phones did.
    pub(super) progress: GetProgressResponse,
    /// What the companies see.
    pub(super) companies: Vec<CompanyEvidence>,
}

/// What one company sees.
pub(super) struct CompanyEvidence {
    /// Its official account.
    pub(super) official_account: String,
    /// How it is matched.
    pub(super) matching: Matching,
    /// Its followers and dialogues.
    pub(super) funnel: GetFunnelResponse,
    /// Its final distribution, if it came to that.
    pub(super) distribution: Option<Distribution>,
}

/// States in which a message still moves.
pub(super) const OPEN_STATES: [&str; 3] = ["queued", "sending", "accepted"];
/// States in which a phone has the message.
pub(super) const ARRIVED_STATES: [&str; 2] = ["delivered", "displayed"];

impl Evidence {
    /// The funnel of each official account and carrier.
    pub(super) fn funnels(&self) -> Vec<Funnel> {
        self.wire_funnels().map(funnel).collect()
    }

    /// Deliveries of the final distributions by kind and state.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        let of = |company: &CompanyEvidence| {
            let counts = company.distribution.iter().flat_map(|distribution| &distribution.deliveries);
            let delivery = |count: &musubi_proto::information::v1::DeliveryCount| Delivery {
                official_account: company.official_account.clone(),
                kind: count.kind.clone(),
                state: count.state.clone(),
                count: count.count,
            };
            let mut deliveries: Vec<Delivery> = counts.map(delivery).collect();
            deliveries.sort_by(|one, other| (&one.kind, &one.state).cmp(&(&other.kind, &other.state)));
            deliveries
        };
        self.companies.iter().flat_map(of).collect()
    }

    /// The steps of the patent's fig. 10 and its claim 4, counted.
    pub(super) fn steps(&self) -> Vec<Step> {
        let funnels = self.funnels();
        let sum = |field: fn(&Funnel) -> u64| funnels.iter().map(field).sum::<u64>();
        let joining = self.at_step("joining");
        let acquisitions = || self.companies.iter().flat_map(|company| &company.funnel.acquisitions);
        let [promoted, discarded, quarantined] = [
            acquisitions().map(|it| it.promoted).sum::<u64>(),
            acquisitions().map(|it| it.discarded).sum(),
            acquisitions().map(|it| it.quarantined).sum(),
        ];
        let [by_event, by_list, skipped] = [
            acquisitions().map(|it| it.added_by_event).sum::<u64>(),
            acquisitions().map(|it| it.added_by_list).sum(),
            acquisitions().map(|it| it.skipped).sum(),
        ];
        let verified_by = |matching| {
            let of = self.companies.iter().filter(|company| company.matching == matching);
            of.flat_map(|company| &company.funnel.funnels).map(|funnel| funnel.verified).sum::<u64>()
        };
        let progress = &self.progress;
        let count = |step, what, count, note| Step { step, what, count, note };
        let mut steps = vec![
            count(
                "S10",
                "customers in the masters",
                self.customers,
                format!("{} companies", self.companies.len()),
            ),
            count("S11", "follows", progress.stories - joining, String::new()),
            count(
                "S12",
                "numbers that carriers listed",
                sum(|it| it.followers),
                format!("{} left again", sum(|it| it.unfollowed)),
            ),
            count(
                "S13",
                "lists fetched whole",
                promoted,
                format!("{discarded} discarded, {quarantined} quarantined"),
            ),
            count(
                "S14",
                "followers acquired",
                by_event + by_list,
                format!(
                    "{by_event} first by an event, {by_list} by a list; {skipped} known already, not asked again"
                ),
            ),
            self.messages("S15", "question messages (fig. 7)", "question", ""),
            count("S16", "question messages in talk rooms", self.arrived("question"), String::new()),
            count(
                "S17",
                "answers",
                sum(|it| it.answered),
                format!(
                    "{} want it, {} have no account, {} decline; {} taps and {} texts in all",
                    sum(|it| it.wants),
                    sum(|it| it.no_account),
                    sum(|it| it.declined),
                    progress.tapped,
                    progress.typed
                ),
            ),
            self.messages(
                "S18",
                "account messages (fig. 8)",
                "account",
                &format!("{} account numbers given", sum(|it| it.account_given)),
            ),
            self.messages(
                "S19",
                "identity messages (fig. 9)",
                "identity",
                &format!("{} verified", sum(|it| it.verified)),
            ),
            count(
                "S20",
                "identities matched",
                sum(|it| it.verified),
                format!(
                    "{} by inquiry, {} in custody",
                    verified_by(Matching::Inquiry),
                    verified_by(Matching::Custody) + verified_by(Matching::Blind)
                ),
            ),
            count(
                "S21",
                "confirmed customers now",
                sum(|it| it.confirmed),
                format!(
                    "{} for review, {} rejected and nothing stored",
                    sum(|it| it.review),
                    sum(|it| it.rejected)
                ),
            ),
            self.messages("S22", "result messages", "result", ""),
            count("S23", "result messages in talk rooms", self.arrived("result"), String::new()),
        ];
        let deliveries = self.deliveries();
        let of_kind =
            |kind: &str| deliveries.iter().filter(|it| it.kind == kind).map(|it| it.count).sum::<u64>();
        let (individual, uniform) = (of_kind("individual"), of_kind("uniform"));
        let note = format!("{individual} individual, {uniform} uniform");
        steps.push(count(
            "claim 4",
            "deliveries of the final distributions",
            deliveries.iter().map(|it| it.count).sum(),
            note,
        ));
        steps
    }

    /// Stories at a step.
    pub(super) fn at_step(&self, step: &str) -> u64 {
        self.progress.steps.iter().filter(|it| it.step == step).map(|it| it.count).sum()
    }

    fn wire_funnels(&self) -> impl Iterator<Item = &WireFunnel> {
        self.companies.iter().flat_map(|company| &company.funnel.funnels)
    }

    fn tallies<'a>(&'a self, purpose: &'a str) -> impl Iterator<Item = &'a MessageTally> {
        let tallies = self.companies.iter().flat_map(|company| &company.funnel.messages);
        tallies.filter(move |tally| tally.purpose == purpose)
    }

    fn arrived(&self, purpose: &str) -> u64 {
        self.tallies(purpose).filter(|it| ARRIVED_STATES.contains(&&*it.state)).map(|it| it.count).sum()
    }

    /// A step that sends messages; what didn't arrive stands in the note.
    fn messages(&self, step: &'static str, what: &'static str, purpose: &str, note: &str) -> Step {
        let sent = self.tallies(purpose).map(|tally| tally.count).sum();
        let mut notes = Vec::from_iter((!note.is_empty()).then(|| note.to_owned()));
        for state in ["queued", "sending", "accepted", "rejected", "expired", "revoked", "dead"] {
            let count: u64 = self.tallies(purpose).filter(|it| it.state == state).map(|it| it.count).sum();
            if count > 0 {
                notes.push(format!("{count} {state}"));
            }
        }
        Step { step, what, count: sent, note: notes.join("; ") }
    }
}

fn funnel(wire: &WireFunnel) -> Funnel {
    let mut funnel = Funnel {
        official_account: wire.official_account.clone(),
        carrier: wire.carrier.clone(),
        followers: wire.followers,
        asked: wire.asked,
        answered: wire.answered,
        wants: wire.wants,
        account_given: wire.account_given,
        verified: wire.verified,
        ..Funnel::default()
    };
    for outcome in &wire.outcomes {
        let field = match outcome.outcome() {
            FollowerOutcome::Confirmed => &mut funnel.confirmed,
            FollowerOutcome::Review => &mut funnel.review,
            FollowerOutcome::Rejected => &mut funnel.rejected,
            FollowerOutcome::NoAccount => &mut funnel.no_account,
            FollowerOutcome::Declined => &mut funnel.declined,
            FollowerOutcome::Unanswered => &mut funnel.unanswered,
            FollowerOutcome::Unfollowed => &mut funnel.unfollowed,
            FollowerOutcome::Unspecified
            | FollowerOutcome::Waiting
            | FollowerOutcome::Underway
            | FollowerOutcome::Abandoned
            | FollowerOutcome::Locked => &mut funnel.other,
        };
        *field += outcome.count;
    }
    funnel
}

#[cfg(test)]
mod tests {
    use musubi_proto::{
        information::v1::{Acquisition, DeliveryCount, OutcomeCount},
        terminal::v1::StepCount,
    };

    use super::*;

    fn evidence() -> Evidence {
        let outcome = |outcome: FollowerOutcome, count| OutcomeCount { outcome: outcome.into(), count };
        let tally = |purpose: &str, state: &str, count| MessageTally {
            purpose: purpose.to_owned(),
            state: state.to_owned(),
            count,
            ..MessageTally::default()
        };
        let delivery = |kind: &str, state: &str, count| DeliveryCount {
            kind: kind.to_owned(),
            state: state.to_owned(),
            count,
        };
        let funnel = GetFunnelResponse {
            funnels: vec![WireFunnel {
                official_account: "aoba-bank".to_owned(),
                carrier: "kumo".to_owned(),
                followers: 10,
                answered: 8,
                wants: 6,
                verified: 5,
                outcomes: vec![
                    outcome(FollowerOutcome::Confirmed, 4),
                    outcome(FollowerOutcome::Locked, 1),
                    outcome(FollowerOutcome::Waiting, 2),
                ],
                ..WireFunnel::default()
            }],
            messages: vec![
                tally("question", "displayed", 8),
                tally("question", "delivered", 1),
                tally("question", "expired", 1),
                tally("result", "displayed", 5),
            ],
            acquisitions: vec![Acquisition {
                promoted: 3,
                added_by_event: 7,
                added_by_list: 3,
                skipped: 20,
                ..Acquisition::default()
            }],
        };
        let distribution = Distribution {
            deliveries: vec![delivery("uniform", "displayed", 6), delivery("individual", "displayed", 4)],
            ..Distribution::default()
        };
        Evidence {
            customers: 15,
            progress: GetProgressResponse {
                stories: 12,
                steps: vec![StepCount { step: "joining".to_owned(), count: 2 }],
                ..GetProgressResponse::default()
            },
            companies: vec![CompanyEvidence {
                official_account: "aoba-bank".to_owned(),
                matching: Matching::Custody,
                funnel,
                distribution: Some(distribution),
            }],
        }
    }

    #[test]
    fn steps_are_counted_from_what_is_there() {
        let steps = evidence().steps();
        let names: Vec<&str> = steps.iter().map(|step| step.step).collect();
        let due = [
            "S10", "S11", "S12", "S13", "S14", "S15", "S16", "S17", "S18", "S19", "S20", "S21", "S22", "S23",
            "claim 4",
        ];
        assert_eq!(names, due);
        let counts: Vec<u64> = steps.iter().map(|step| step.count).collect();
        assert_eq!(counts, [15, 10, 10, 3, 10, 10, 9, 8, 0, 0, 5, 4, 5, 5, 10]);
        assert_eq!(steps[5].note, "1 expired");
        assert_eq!(steps[10].note, "0 by inquiry, 5 in custody");
    }

    #[test]
    fn outcomes_without_an_end_count_as_other() {
        let funnels = evidence().funnels();
        assert_eq!((funnels[0].confirmed, funnels[0].other), (4, 3));
    }

    #[test]
    fn deliveries_stand_by_kind_and_state() {
        let deliveries = evidence().deliveries();
        let kinds: Vec<_> = deliveries.iter().map(|it| (it.kind.as_str(), it.count)).collect();
        assert_eq!(kinds, [("individual", 4), ("uniform", 6)]);
    }
}

//! When a stage is over, and when it is stuck: pure.
//!
//! Time is an argument, counted from the stage's beginning. Surprising: being quiet is not enough. What a carrier has confirmed
//! may still be on its way to the information-management server, so a stage that is quiet but not as foreseen gets a while.

use std::{collections::BTreeMap, time::Duration};

use musubi_proto::{
    information::v1::{Distribution, DistributionState, FollowerOutcome, GetFunnelResponse},
    terminal::v1::GetProgressResponse,
};
use musubi_terminal_simulator::story::Story;

use super::{evidence::OPEN_STATES, judge::word};

/// How long a quiet stage may stay other than foreseen before it counts as over.
const GRACE: Duration = Duration::from_secs(5);
/// How long nothing may change before a stage counts as stuck.
pub(super) const STUCK: Duration = Duration::from_secs(30);

/// What one look at the nodes gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Nothing has to happen any more.
    pub(super) quiet: bool,
    /// Everything is where it will end; nothing could be better.
    pub(super) complete: bool,
    /// Every counter that moves as long as something happens.
    pub(super) counters: Vec<u64>,
}

/// How many stories of each official account end how, in words.
type Ends<'a> = BTreeMap<(&'a str, &'a str), u64>;

/// How the stories should end.
pub(super) fn expected_ends(stories: &[Story]) -> Ends<'_> {
    let mut ends = Ends::new();
    for story in stories {
        *ends.entry((story.official_account.as_str(), story.expected.as_str())).or_default() += 1;
    }
    ends
}

impl Sight {
    /// Of the dialogues: quiet when nobody has anything to do, complete when everybody ended as expected, too.
    pub(super) fn of_dialogues(
        progress: &GetProgressResponse,
        funnels: &[GetFunnelResponse],
        expected: &Ends<'_>,
    ) -> Self {
        let mut ends = Ends::new();
        let mut moving = 0;
        for funnel in funnels.iter().flat_map(|answer| &answer.funnels) {
            for outcome in funnel.outcomes.iter().filter(|outcome| outcome.count > 0) {
                let (what, count) = (outcome.outcome(), outcome.count);
                if matches!(what, FollowerOutcome::Waiting | FollowerOutcome::Underway) {
                    moving += count;
                }
                *ends.entry((&funnel.official_account, word(what))).or_default() += count;
            }
        }
        let messages = || funnels.iter().flat_map(|answer| &answer.messages);
        let open = messages().any(|tally| tally.count > 0 && OPEN_STATES.contains(&&*tally.state));
        let quiet = is_idle(progress) && moving == 0;
        let counts = ends.values().copied().chain(messages().map(|tally| tally.count));
        let counters = of_progress(progress).chain(counts).collect();
        Self { quiet, complete: quiet && !open && ends == *expected, counters }
    }

    /// Of distributions: quiet when every delivery has its end, complete when every phone has said that it showed its message.
    pub(super) fn of_distributions(progress: &GetProgressResponse, distributions: &[Distribution]) -> Self {
        let deliveries = || distributions.iter().flat_map(|distribution| &distribution.deliveries);
        let any = |states: &[&str]| deliveries().any(|it| it.count > 0 && states.contains(&&*it.state));
        let completed = distributions.iter().all(|it| it.state() == DistributionState::Completed);
        let quiet = completed && !any(&OPEN_STATES) && progress.pending_actions == 0;
        let counts = deliveries().map(|it| it.count).chain(distributions.iter().map(|it| it.created));
        let counters = of_progress(progress).chain(counts).collect();
        Self { quiet, complete: quiet && !any(&["delivered"]), counters }
    }
}

/// Whether every person has done all that the story says, and every carrier knows.
pub(super) const fn is_idle(progress: &GetProgressResponse) -> bool {
    progress.finished == progress.stories && progress.pending_actions == 0
}

fn of_progress(progress: &GetProgressResponse) -> impl Iterator<Item = u64> {
    let GetProgressResponse { finished, shown, pending_actions, tapped, typed, pages, .. } = *progress;
    let steps = progress.steps.iter().map(|step| step.count);
    [finished, shown, pending_actions, tapped, typed, pages].into_iter().chain(steps)
}

/// What to make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Look again.
    Moving,
    /// The stage is over.
    Settled,
    /// The stage will never be over.
    Stuck,
}

/// Looks at a stage again and again.
#[derive(Debug, Default)]
pub(super) struct Watch {
    counters: Vec<u64>,
    since: Duration,
}

impl Watch {
    /// What to make of a sight at `now`.
    pub(super) fn look(&mut self, sight: Sight, now: Duration) -> Phase {
        if sight.complete {
            return Phase::Settled;
        }
        if sight.counters != self.counters {
            self.counters = sight.counters;
            self.since = now;
        }
        let still = now.saturating_sub(self.since);
        match sight.quiet {
            true if still >= GRACE => Phase::Settled,
            false if still >= STUCK => Phase::Stuck,
            true | false => Phase::Moving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(quiet: bool, complete: bool, counter: u64) -> Sight {
        Sight { quiet, complete, counters: vec![counter] }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn complete_stage_is_over_at_once() {
        assert_eq!(Watch::default().look(sight(true, true, 1), seconds(0)), Phase::Settled);
    }

    #[test]
    fn quiet_stage_gets_its_grace_anew_with_every_change() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(sight(true, false, 1), seconds(10)), Phase::Moving);
        assert_eq!(watch.look(sight(true, false, 2), seconds(14)), Phase::Moving);
        assert_eq!(watch.look(sight(true, false, 2), seconds(18)), Phase::Moving);
        assert_eq!(watch.look(sight(true, false, 2), seconds(19)), Phase::Settled);
    }

    #[test]
    fn stage_without_any_change_is_stuck_after_its_time_and_not_before() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(sight(false, false, 1), seconds(5)), Phase::Moving);
        assert_eq!(watch.look(sight(false, false, 1), seconds(34)), Phase::Moving);
        assert_eq!(watch.look(sight(false, false, 2), seconds(34)), Phase::Moving);
        assert_eq!(watch.look(sight(false, false, 2), seconds(63)), Phase::Moving);
        assert_eq!(watch.look(sight(false, false, 2), seconds(64)), Phase::Stuck);
    }
}

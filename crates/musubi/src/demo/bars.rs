//! The dialogues' progress: one stage for each stretch of the flow, all moving at once.
//!
//! Counts come from the companies' funnels. Surprising: how many will come so far is read off the stories, so a bar that stays
//! short of its end shows people who went another way.

use std::time::Duration;

use musubi_proto::{
    information::v1::{Funnel, GetFunnelResponse},
    terminal::v1::GetProgressResponse,
};
use musubi_terminal_simulator::story::{Reply, Story, UnfollowAfter};

use super::screen::{Screen, Stage};

/// The name of a stage and the count that it shows.
type Stretch = (&'static str, fn(&Funnel) -> u64);

/// The stages.
const STAGES: [Stretch; 5] = [
    ("S11-14 follow", |it| it.followers),
    ("S15-16 asked", |it| it.asked),
    ("S17 answered", |it| it.answered),
    ("S18 account", |it| it.account_given),
    ("S19-20 identity", |it| it.verified),
];

/// The stages of the dialogues.
pub(super) struct DialogueBars<'a> {
    stages: [Stage<'a>; STAGES.len()],
    result: Stage<'a>,
}

impl<'a> DialogueBars<'a> {
    /// Begins all stages.
    pub(super) fn begin(screen: &'a Screen, stories: &[Story]) -> Self {
        let count = |is: fn(&Story) -> bool| stories.iter().filter(|story| is(story)).count() as u64;
        let all = stories.len() as u64;
        let answers = count(|it| it.reply != Reply::Ignore && it.unfollow_after != UnfollowAfter::Question);
        let wants = count(|it| it.reply == Reply::Confirm && it.unfollow_after != UnfollowAfter::Question);
        let mut totals = [all, all, answers, wants, wants].into_iter();
        let stages = STAGES.map(|(name, _)| screen.begin(name, totals.next().unwrap_or(all)));
        Self { stages, result: screen.begin("S21-23 result", all) }
    }

    /// Says how far they are.
    pub(super) fn show(&self, progress: &GetProgressResponse, funnels: &[GetFunnelResponse]) {
        for (stage, (_, count)) in self.stages.iter().zip(STAGES) {
            stage.at(funnels.iter().flat_map(|answer| &answer.funnels).map(count).sum(), "");
        }
        self.result.at(progress.finished, "stories played to their end");
    }

    /// How long they have run.
    pub(super) fn elapsed(&self) -> Duration {
        self.result.elapsed()
    }

    /// Ends them and gives their seconds.
    pub(super) fn end(self) -> f64 {
        self.stages.into_iter().for_each(|stage| {
            stage.end("");
        });
        self.result.end("stories played to their end")
    }
}

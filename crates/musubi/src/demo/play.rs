//! The stages, one after another: masters, stories, dialogues, the final distribution.
//!
//! Only calls and looks; what to make of a look is `settle`'s, who was served rightly is `judge`'s. Surprising: a stage that gets
//! stuck is no error here. The play ends there, and the report says who stands where.

use std::{pin::pin, time::Duration};

use anyhow::bail;
use futures::{
    TryStreamExt as _,
    future::{try_join, try_join_all},
};
use musubi_proto::{
    company::v1::ImportCustomersResponse,
    information::v1::{CreateDistributionRequest, Distribution, UploadValuesRequest},
    terminal::v1 as terminal,
};
use musubi_runtime::{Shutdown, entropy};
use musubi_terminal_simulator::story::{Identity, Story};
use uuid::Uuid;

use super::{
    Args, Unplayable,
    bars::DialogueBars,
    clients::{CompanyClient, TerminalClient},
    evidence::{ARRIVED_STATES, CompanyEvidence, Evidence},
    material::{AccountMaterial, Material},
    notice::Notice,
    report::Timing,
    screen::{Screen, Stage},
    settle::{Phase, Sight, Watch, expected_ends, is_idle},
};
use crate::cluster::Doors;

/// Stories to a batch.
const BATCH: usize = 1_000;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// A funnel counts every follower; while phones are busy it is asked for one part in so many of the time.
const SPARING: u32 = 20;

/// A company's operators, and what they have to say.
pub(super) struct Voice<'a> {
    /// The official account.
    pub(super) account: &'a AccountMaterial,
    /// The company's server.
    pub(super) client: CompanyClient,
    /// The final distribution.
    pub(super) notice: Notice,
    distribution_id: String,
}

/// Plays the material on a cluster or a stack.
pub(super) struct Play<'a> {
    material: &'a Material,
    screen: &'a Screen,
    voices: Vec<Voice<'a>>,
    terminal: TerminalClient,
    at_once: usize,
    pace: Option<usize>,
    timings: Vec<Timing>,
    customers: u64,
}

/// A customer master that a company refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadMaster(String);

/// How the play ended.
pub(super) struct Played<'a> {
    /// What the nodes say.
    pub(super) evidence: Evidence,
    /// How long the stages took.
    pub(super) timings: Vec<Timing>,
    /// The stage that got stuck.
    pub(super) stuck: Option<&'static str>,
    /// Whether the final distributions were sent.
    pub(super) distributed: bool,
    /// What was said in whose name.
    pub(super) voices: Vec<Voice<'a>>,
    /// The terminals.
    pub(super) terminal: TerminalClient,
}

impl<'a> Play<'a> {
    /// Goes to the doors of a cluster. The seed of the arguments varies what the distributions say.
    pub(super) fn new(
        args: &Args,
        material: &'a Material,
        doors: &Doors,
        screen: &'a Screen,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let voices = material
            .accounts
            .iter()
            .zip(&doors.companies)
            .map(|(account, door)| {
                let notice = Notice::new(account.id.as_str(), &account.display_name, args.seed)?;
                let client = CompanyClient::new(door, shutdown)?;
                Ok(Voice { account, client, notice, distribution_id: String::new() })
            })
            .collect::<anyhow::Result<_>>()?;
        let terminal = TerminalClient::new(&doors.terminal, shutdown)?;
        let Args { at_once, pace, .. } = *args;
        Ok(Self { material, screen, voices, terminal, at_once, pace, timings: Vec::new(), customers: 0 })
    }

    /// Plays all stages.
    pub(super) async fn run(mut self) -> anyhow::Result<Played<'a>> {
        let before = self.terminal.progress().await?.stories;
        if before > 0 {
            let sentence = format!(
                "the terminals have {before} stories of an earlier run; give the stack empty databases"
            );
            return Err(Unplayable(sentence).into());
        }
        self.masters().await?;
        let mut stuck = self.dialogues().await?;
        let distributed = stuck.is_none();
        if distributed {
            stuck = self.distributions().await?;
        }
        let evidence = self.evidence(distributed).await?;
        let Self { timings, voices, terminal, .. } = self;
        Ok(Played { evidence, timings, stuck, distributed, voices, terminal })
    }

    /// S10: every company imports its master, and entrusts it if it is matched in custody.
    async fn masters(&mut self) -> anyhow::Result<()> {
        let stage = self.screen.begin("masters", self.voices.len() as u64);
        let imports = self.voices.iter().map(async |voice| {
            let answer = voice.client.import(&voice.account.master).await?;
            refuse_bad_rows(voice.account, &answer)?;
            if voice.account.matching.entrusts().0 {
                voice.client.entrust().await?;
            }
            stage.advance(1);
            anyhow::Ok(answer.rows)
        });
        self.customers = try_join_all(imports).await?.iter().sum();
        let seconds = stage.end(&format!("S10: {} customers imported", self.customers));
        self.timings.push(Timing::new("masters", seconds, self.customers, "customers"));
        Ok(())
    }

    /// S11 to S23: the stories are handed out as others come to their end, and watched until nothing moves any more.
    async fn dialogues(&mut self) -> anyhow::Result<Option<&'static str>> {
        let stories = &self.material.stories;
        let bars = DialogueBars::begin(self.screen, stories);
        let batch = BATCH.min(self.at_once).min(self.pace.unwrap_or(BATCH));
        let mut waiting = stories.chunks(batch).peekable();
        let mut watch = Watch::default();
        let ends = expected_ends(stories);
        let (mut funnels, mut due) = (Vec::new(), Duration::ZERO);
        let stuck = loop {
            let mut progress = self.terminal.progress().await?;
            while let Some(batch) = waiting.next_if(|batch| {
                let begun = progress.stories + batch.len() as u64;
                let in_time =
                    self.pace.is_none_or(|pace| begun <= pace as u64 * (1 + bars.elapsed().as_secs()));
                in_time && begun - progress.finished <= self.at_once as u64
            }) {
                self.terminal.play(batch.iter().map(handed_out).collect()).await?;
                progress = self.terminal.progress().await?;
            }
            let begun = bars.elapsed();
            if begun >= due || is_idle(&progress) {
                funnels = try_join_all(self.voices.iter().map(|voice| voice.client.funnel())).await?;
                due = bars.elapsed() + (bars.elapsed() - begun) * SPARING;
            }
            bars.show(&progress, &funnels);
            match watch.look(Sight::of_dialogues(&progress, &funnels, &ends), bars.elapsed()) {
                Phase::Moving => tokio::time::sleep(LOOK).await,
                Phase::Settled => break None,
                Phase::Stuck => break Some("dialogues"),
            }
        };
        let seconds = bars.end();
        self.timings.push(Timing::new("dialogues", seconds, stories.len() as u64, "followers"));
        Ok(stuck)
    }

    /// Claim 4: each company sends one distribution to all its followers.
    async fn distributions(&mut self) -> anyhow::Result<Option<&'static str>> {
        let stage = self.screen.begin("values", self.customers);
        let (screen, customers) = (self.screen, self.customers);
        try_join_all(self.voices.iter_mut().map(|voice| voice.draft(&stage))).await?;
        let seconds = stage.end(&format!("{customers} customers have values"));
        self.timings.push(Timing::new("values", seconds, customers, "customers"));

        let previews = self.voices.iter().map(|voice| voice.client.preview(&voice.distribution_id));
        let due: u64 = try_join_all(previews).await?.iter().map(|it| it.individual + it.uniform).sum();
        let stage = screen.begin("distribution", due);
        try_join_all(self.voices.iter().map(|voice| voice.client.start(&voice.distribution_id))).await?;
        let mut watch = Watch::default();
        let (stuck, delivered) = loop {
            let looks = try_join_all(self.voices.iter().map(Voice::distribution));
            let (progress, distributions) = try_join(self.terminal.progress(), looks).await?;
            let delivered = arrived(&distributions);
            stage.at(delivered, "delivered");
            match watch.look(Sight::of_distributions(&progress, &distributions), stage.elapsed()) {
                Phase::Moving => tokio::time::sleep(LOOK).await,
                Phase::Settled => break (None, delivered),
                Phase::Stuck => break (Some("distribution"), delivered),
            }
        };
        let seconds = stage.end(&format!("claim 4: {delivered} delivered"));
        self.timings.push(Timing::new("distribution", seconds, delivered, "deliveries"));
        Ok(stuck)
    }

    async fn evidence(&self, distributed: bool) -> anyhow::Result<Evidence> {
        let companies = self.voices.iter().map(async |voice| {
            let distribution = if distributed { Some(voice.distribution().await?) } else { None };
            anyhow::Ok(CompanyEvidence {
                official_account: voice.account.id.as_str().to_owned(),
                matching: voice.account.matching,
                funnel: voice.client.funnel().await?,
                distribution,
            })
        });
        let (progress, companies) = try_join(self.terminal.progress(), try_join_all(companies)).await?;
        Ok(Evidence { customers: self.customers, progress, companies })
    }
}

impl Voice<'_> {
    async fn distribution(&self) -> anyhow::Result<Distribution> {
        self.client.distribution(&self.distribution_id).await
    }

    /// Makes the draft and gives every customer of the master its values.
    async fn draft(&mut self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let (uniform, individual) = self.notice.templates();
        let request = CreateDistributionRequest {
            request_id: Uuid::from_bytes(entropy::bytes()).to_string(),
            official_account: self.account.id.as_str().to_owned(),
            name: "musubi demo".to_owned(),
            uniform: Some(uniform),
            individual: Some(individual),
            ..CreateDistributionRequest::default()
        };
        self.distribution_id = self.client.create(request).await?.distribution_id;
        let mut pages = pin!(self.client.customers());
        let mut stored = 0;
        while let Some(page) = pages.try_next().await? {
            let customers =
                page.iter().map(|customer| self.notice.values(customer)).collect::<Result<_, _>>()?;
            let distribution_id = self.distribution_id.clone();
            stage.advance(page.len() as u64);
            let chunk = UploadValuesRequest { distribution_id, customers, operator: String::new() };
            stored = self.client.upload(chunk).await?;
        }
        if stored != self.notice.customers() {
            bail!("{} customers were given values and {stored} have them", self.notice.customers());
        }
        Ok(())
    }
}

fn refuse_bad_rows(account: &AccountMaterial, answer: &ImportCustomersResponse) -> Result<(), BadMaster> {
    if answer.error_count == 0 && answer.errors.is_empty() {
        return Ok(());
    }
    let rows = answer.errors.iter().map(|error| {
        format!("\n  line {}: {}: {}; {}", error.line, error.field, error.problem, error.remedy)
    });
    let rows: String = rows.collect();
    Err(BadMaster(format!("{}: bad rows: {}{rows}", account.master.display(), answer.error_count)))
}

fn handed_out(story: &Story) -> terminal::Story {
    let identity = story.identity.as_ref();
    let text = |field: fn(&Identity) -> &String| identity.map(field).cloned().unwrap_or_default();
    terminal::Story {
        phone_number: story.phone_number.clone(),
        carrier: story.carrier.clone(),
        official_account: story.official_account.clone(),
        reply: story.reply.as_str().to_owned(),
        account_text: story.account_text.clone(),
        identity_method: identity.map(|identity| identity.method.as_str().to_owned()).unwrap_or_default(),
        identity_name: text(|identity| &identity.name),
        identity_name_kana: text(|identity| &identity.name_kana),
        identity_birth_date: text(|identity| &identity.birth_date),
        identity_address: text(|identity| &identity.address),
        unfollow_after: story.unfollow_after.as_str().to_owned(),
    }
}

fn arrived(distributions: &[Distribution]) -> u64 {
    let counts = distributions.iter().flat_map(|distribution| &distribution.deliveries);
    counts.filter(|it| ARRIVED_STATES.contains(&&*it.state)).map(|it| it.count).sum()
}

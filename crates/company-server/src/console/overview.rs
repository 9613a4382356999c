//! The overview: how far followers came, how lists were acquired, what messages became, what needs somebody; and the same again every few seconds.
//!
//! Surprising: bars are drawn here and not by a script, as rectangles on a scale of a thousand, so that a page is whole when it comes.

use std::collections::BTreeMap;

use askama::Template;
use axum::{Router, extract::Query, response::Html, routing::get};
use musubi_proto::information::v1::{
    Acquisition, ApprovalState, FollowerOutcome, Funnel, GetFunnelRequest, GetFunnelResponse,
    ListApprovalsRequest,
};
use serde::Deserialize;

use super::{
    Console, approvals,
    days::{Chart, charts},
    failure::Failure,
    language::Language,
    shell::Shell,
    visitor::Visitor,
    words::Chip,
};

/// How wide a whole bar is.
const WHOLE: u64 = 1_000;
/// How many colours carriers have.
const COLOURS: usize = 6;

pub(super) fn router() -> Router<Console> {
    Router::new().route("/", get(page)).route("/overview/live", get(live))
}

/// Of which account and carrier; empty: of all.
#[derive(Clone, Default, Deserialize)]
struct Choice {
    #[serde(default)]
    account: String,
    #[serde(default)]
    carrier: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    s: Shell,
    choice: Choice,
    accounts: Vec<String>,
    carriers: Vec<String>,
    o: Overview,
    charts: Vec<Chart>,
}

#[derive(Template)]
#[template(path = "overview_live.html")]
struct Live {
    s: Shell,
    o: Overview,
}

/// What is shown.
struct Overview {
    stages: Vec<Stage>,
    /// Carriers with their colours.
    legend: Vec<(String, usize)>,
    outcomes: Vec<(Chip, u64, u64)>,
    followers: u64,
    confirmed: u64,
    lists: Vec<Acquisition>,
    messages: Vec<Messages>,
    attention: Vec<Attention>,
}

/// A stage of the funnel: how many reached it, and of which carriers.
struct Stage {
    text: &'static str,
    count: u64,
    percent: u64,
    bars: Vec<Bar>,
}

/// A rectangle on a scale of a thousand.
struct Bar {
    from: u64,
    width: u64,
    colour: usize,
}

/// Messages of a purpose.
struct Messages {
    purpose: String,
    sent: u64,
    delivered: u64,
    displayed: u64,
    waiting: u64,
    failed: u64,
}

/// What waits for a second person.
#[derive(Clone, Copy, Default)]
struct Waiting {
    approvals: usize,
    distributions: usize,
}

/// Something that needs somebody.
struct Attention {
    id: &'static str,
    class: &'static str,
    text: String,
    path: &'static str,
}

async fn page(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let (answer, waiting) = read(&visitor).await?;
    let names = |name: fn(&Funnel) -> &String| {
        let mut names: Vec<_> = answer.funnels.iter().map(|funnel| name(funnel).clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let (accounts, carriers) = (names(|it| &it.official_account), names(|it| &it.carrier));
    let o = Overview::of(answer, waiting, &choice, visitor.s.language);
    let charts = charts(&visitor, &choice.account, &choice.carrier).await?;
    Ok(Html(Page { s: visitor.s, choice, accounts, carriers, o, charts }.render()?))
}

async fn live(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let (answer, waiting) = read(&visitor).await?;
    let o = Overview::of(answer, waiting, &choice, visitor.s.language);
    Ok(Html(Live { s: visitor.s, o }.render()?))
}

/// The funnel, and what waits for approvers, for whoever may know.
async fn read(visitor: &Visitor) -> Result<(GetFunnelResponse, Waiting), Failure> {
    let mut followers = visitor.followers();
    let funnel = followers.get_funnel(GetFunnelRequest { official_account: String::new() });
    let (funnel, waiting) = tokio::join!(funnel, read_waiting(visitor));
    Ok((funnel?.into_inner(), waiting?))
}

async fn read_waiting(visitor: &Visitor) -> Result<Waiting, Failure> {
    if !visitor.s.may("ListApprovals") {
        return Ok(Waiting::default());
    }
    let request = ListApprovalsRequest { state: ApprovalState::Waiting.into(), ..Default::default() };
    let mut calls = visitor.approvals();
    let (page, submitted) = tokio::join!(calls.list_approvals(request), approvals::submitted(visitor));
    Ok(Waiting { approvals: page?.into_inner().approvals.len(), distributions: submitted?.len() })
}

/// A share of a whole, on a scale.
fn share(part: u64, whole: u64, scale: u64) -> u64 {
    let share = u128::from(part) * u128::from(scale) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(scale).min(scale)
}

impl Overview {
    fn of(answer: GetFunnelResponse, waiting: Waiting, choice: &Choice, language: Language) -> Self {
        let wanted = |account: &str, carrier: &str| {
            (choice.account.is_empty() || choice.account == account)
                && (choice.carrier.is_empty() || choice.carrier == carrier)
        };
        let carriers: Vec<String> = {
            let mut carriers: Vec<_> = answer.funnels.iter().map(|it| it.carrier.clone()).collect();
            carriers.sort();
            carriers.dedup();
            carriers
        };
        let colour =
            |carrier: &str| carriers.iter().position(|it| it == carrier).unwrap_or_default() % COLOURS;
        let funnels: Vec<Funnel> =
            answer.funnels.into_iter().filter(|it| wanted(&it.official_account, &it.carrier)).collect();
        let followers: u64 = funnels.iter().map(|it| it.followers).sum();
        let of = |outcome: FollowerOutcome, funnel: &Funnel| -> u64 {
            let counts = funnel.outcomes.iter().filter(|count| count.outcome() == outcome);
            counts.map(|count| count.count).sum()
        };
        let all = |outcome| funnels.iter().map(|funnel| of(outcome, funnel)).sum::<u64>();
        let say = |japanese, english| language.say(japanese, english);
        type Reached<'a> = Box<dyn Fn(&Funnel) -> u64 + 'a>;
        let stages: [(&'static str, Reached<'_>); 7] = [
            (say("フォロワー", "followers"), Box::new(|it| it.followers)),
            (say("質問を送った", "asked"), Box::new(|it| it.asked)),
            (say("回答した", "answered"), Box::new(|it| it.answered)),
            (say("個別のお知らせを希望", "want personal information"), Box::new(|it| it.wants)),
            (say("口座番号を入力", "gave an account number"), Box::new(|it| it.account_given)),
            (say("本人確認が完了", "verified"), Box::new(|it| it.verified)),
            (say("確認済み", "confirmed"), Box::new(|it| of(FollowerOutcome::Confirmed, it))),
        ];
        let stages = stages.into_iter().map(|(text, reached)| {
            let (mut bars, mut from, mut count) = (Vec::new(), 0, 0);
            for funnel in &funnels {
                let part = reached(funnel);
                count += part;
                let until = share(count, followers, WHOLE);
                bars.push(Bar { from, width: until - from, colour: colour(&funnel.carrier) });
                from = until;
            }
            Stage { text, count, percent: share(count, followers, 100), bars }
        });
        let outcomes = (1..).map_while(|number| FollowerOutcome::try_from(number).ok()).map(|outcome| {
            let count = all(outcome);
            (language.outcome(outcome), count, share(count, followers, WHOLE))
        });
        let lists: Vec<_> =
            answer.acquisitions.into_iter().filter(|it| wanted(&it.official_account, &it.carrier)).collect();
        let mut messages: BTreeMap<String, Messages> = BTreeMap::new();
        let tallies = answer.messages.into_iter().filter(|it| wanted(&it.official_account, &it.carrier));
        for tally in tallies {
            let purpose = language.purpose(&tally.purpose);
            let row = messages.entry(tally.purpose).or_insert_with(|| Messages::none(purpose));
            row.add(&tally.state, tally.count);
        }
        let stages = stages.collect();
        let messages: Vec<_> = messages.into_values().collect();
        let attention = attention(
            &lists,
            &messages,
            (all(FollowerOutcome::Review), all(FollowerOutcome::Locked)),
            waiting,
            language,
        );
        Self {
            stages,
            legend: carriers.iter().map(|carrier| (carrier.clone(), colour(carrier))).collect(),
            outcomes: outcomes.filter(|(_, count, _)| *count > 0).collect(),
            followers,
            confirmed: all(FollowerOutcome::Confirmed),
            lists,
            messages,
            attention,
        }
    }
}

impl Messages {
    const fn none(purpose: String) -> Self {
        Self { purpose, sent: 0, delivered: 0, displayed: 0, waiting: 0, failed: 0 }
    }

    fn add(&mut self, state: &str, count: u64) {
        match state {
            "queued" | "sending" => self.waiting += count,
            "displayed" => {
                self.displayed += count;
                self.delivered += count;
                self.sent += count;
            }
            "delivered" => {
                self.delivered += count;
                self.sent += count;
            }
            "accepted" => self.sent += count,
            _ => self.failed += count,
        }
    }
}

fn attention(
    lists: &[Acquisition],
    messages: &[Messages],
    (reviews, locked): (u64, u64),
    waiting: Waiting,
    language: Language,
) -> Vec<Attention> {
    let mut found = Vec::new();
    let mut add = |id, class, count: u64, japanese: &str, english: &str, path| {
        if count > 0 {
            let text = match language {
                Language::Japanese => format!("{japanese} {count}件"),
                Language::English => format!("{count} {english}"),
            };
            found.push(Attention { id, class, text, path });
        }
    };
    let quarantined = lists.iter().filter(|list| list.quarantine.is_some()).count() as u64;
    add("attention-quarantine", "bad", quarantined, "隔離中のリスト", "quarantined lists", "/#lists");
    add("attention-reviews", "warn", reviews, "審査待ち", "reviews wait for a decision", "/reviews");
    add(
        "attention-approvals",
        "warn",
        waiting.approvals as u64,
        "承認待ち",
        "requests wait for a second person",
        "/approvals",
    );
    add(
        "attention-submitted",
        "warn",
        waiting.distributions as u64,
        "承認待ちの配信",
        "distributions wait for an approver",
        "/approvals#submitted",
    );
    add(
        "attention-locked",
        "warn",
        locked,
        "ロック中のフォロワー",
        "followers are locked",
        "/followers?outcome=10",
    );
    let discarded: u64 = lists.iter().map(|list| list.discarded).sum();
    add(
        "attention-discarded",
        "warn",
        discarded,
        "破棄した不完全なリスト",
        "lists were incomplete and discarded",
        "/#lists",
    );
    let failed: u64 = messages.iter().map(|message| message.failed).sum();
    add("attention-failed", "", failed, "届かなかったメッセージ", "messages did not arrive", "/#messages");
    found
}

#[cfg(test)]
mod tests {
    use musubi_proto::information::v1::OutcomeCount;

    use super::*;

    fn funnel(carrier: &str, followers: u64, confirmed: u64) -> Funnel {
        let outcome = |outcome: FollowerOutcome, count| OutcomeCount { outcome: outcome.into(), count };
        Funnel {
            official_account: "bank".to_owned(),
            carrier: carrier.to_owned(),
            followers,
            asked: followers,
            outcomes: vec![
                outcome(FollowerOutcome::Confirmed, confirmed),
                outcome(FollowerOutcome::Review, 2),
            ],
            ..Funnel::default()
        }
    }

    #[test]
    fn bars_of_carriers_stand_behind_one_another_and_never_pass_the_whole() {
        let answer = GetFunnelResponse {
            funnels: vec![funnel("kumo", 3, 1), funnel("nami", 4, 3)],
            ..Default::default()
        };
        let waiting = Waiting { approvals: 1, distributions: 2 };
        let o = Overview::of(answer, waiting, &Choice::default(), Language::English);
        assert_eq!((o.followers, o.confirmed), (7, 4));
        for stage in &o.stages {
            let ends = stage.bars.iter().map(|bar| bar.from + bar.width);
            assert!(ends.max().unwrap() <= WHOLE && stage.bars[1].from == stage.bars[0].width);
        }
        assert_eq!((o.stages[0].bars[0].width, o.stages[6].percent), (428, 57));
        let needs: Vec<_> = o.attention.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            needs,
            [
                "4 reviews wait for a decision",
                "1 requests wait for a second person",
                "2 distributions wait for an approver"
            ]
        );
    }

    #[test]
    fn one_carrier_is_shown_alone_and_an_empty_account_divides_by_nothing() {
        let answer = || GetFunnelResponse {
            funnels: vec![funnel("kumo", 3, 1), funnel("nami", 0, 0)],
            ..Default::default()
        };
        let choice = Choice { carrier: "kumo".to_owned(), ..Choice::default() };
        assert_eq!(Overview::of(answer(), Waiting::default(), &choice, Language::Japanese).followers, 3);
        let choice = Choice { carrier: "nami".to_owned(), ..Choice::default() };
        let o = Overview::of(answer(), Waiting::default(), &choice, Language::Japanese);
        assert!(o.stages.iter().all(|stage| stage.percent == 0));
    }
}

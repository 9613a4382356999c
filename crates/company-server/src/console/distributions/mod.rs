//! Distributions: all of them, and one with its two messages and what became of it.
//!
//! Composing is [`compose`]'s, values are [`values`]'s, tests on a few phones [`trials`]', and what people do with one from its submission to its end
//! [`commands`]'. Surprising: who would get which is asked for by a click of its own, because each look at confirmed customers' values
//! leaves a line in the audit.

mod commands;
mod compose;
mod trials;
mod values;

use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::HeaderMap,
    response::Html,
    routing::{get, post},
};
use musubi_proto::{
    information::v1::{
        self as wire, Distribution, DistributionState, GetDistributionRequest, GetDistributionResponse,
        ListDistributionsRequest, PreviewDistributionRequest, PreviewDistributionResponse,
    },
    r#type::v1::{Card, Content, Suggestion, suggestion::Action},
};
use serde::Deserialize;

use self::commands::{Commands, back, submitted};
use super::{Console, failure::Failure, shell::Shell, visitor::Visitor};

/// Distributions of a page; the call gives a thousand.
const PAGE: usize = 100;

pub(super) fn router(largest_file: usize) -> Router<Console> {
    let with_file = post(values::upload).layer(DefaultBodyLimit::max(largest_file));
    Router::new()
        .route("/distributions", get(list).post(compose::create))
        .route("/distributions/new", get(compose::form).post(compose::preview))
        .route("/distributions/{id}", get(show))
        .route("/distributions/{id}/live", get(live))
        .route("/distributions/{id}/preview", get(preview))
        .route("/distributions/{id}/trials", get(trials::part).post(trials::send))
        .route("/distributions/{id}/values", with_file)
        .merge(commands::router())
}

#[derive(Template)]
#[template(path = "distributions.html")]
struct ListPage {
    s: Shell,
    distributions: Vec<Distribution>,
    /// Where the next page begins.
    next: Option<usize>,
}

#[derive(Deserialize)]
struct Begin {
    #[serde(default)]
    from: usize,
}

async fn list(visitor: Visitor, Query(Begin { from }): Query<Begin>) -> Result<Html<String>, Failure> {
    let request = ListDistributionsRequest::default();
    let all = visitor.distributions().list_distributions(request).await?.into_inner().distributions;
    let mut distributions: Vec<_> = all.into_iter().skip(from).take(PAGE + 1).collect();
    let next = (distributions.len() > PAGE).then_some(from + PAGE);
    distributions.truncate(PAGE);
    Ok(Html(ListPage { s: visitor.s, distributions, next }.render()?))
}

/// A message as a talk room shows it.
#[derive(Default)]
pub(super) struct Bubble {
    /// A card's title; empty: none.
    pub(super) title: String,
    /// Where a card's picture is; empty: none. It is named and not shown: no page loads what is elsewhere.
    pub(super) image: String,
    pub(super) text: String,
    pub(super) buttons: Vec<Button>,
}

/// A button below it: what it says, and a mark for what it does.
pub(super) struct Button {
    pub(super) label: String,
    pub(super) mark: &'static str,
}

impl Bubble {
    pub(super) fn of(content: &Content) -> Self {
        Self::parts(&content.text, &content.suggestions, content.card.as_ref())
    }

    fn of_template(template: &wire::Template) -> Self {
        Self::parts(&template.text, &template.suggestions, template.card.as_ref())
    }

    fn parts(text: &str, suggestions: &[Suggestion], card: Option<&Card>) -> Self {
        let button = |it: &Suggestion| Button {
            label: it.text.clone(),
            mark: match &it.action {
                None => "",
                Some(Action::OpenUrl(_)) => "↗",
                Some(Action::Dial(_)) => "☎",
            },
        };
        let Card { title, image_url: image } = card.cloned().unwrap_or_default();
        Self { title, image, text: text.to_owned(), buttons: suggestions.iter().map(button).collect() }
    }
}

#[derive(Template)]
#[template(path = "distribution.html")]
struct ShowPage {
    s: Shell,
    d: Distribution,
    watch: Watch,
    uniform: Bubble,
    individual: Option<Bubble>,
    /// The columns of a values file.
    columns: String,
    preview: Option<Preview>,
    trials: trials::Trials,
}

#[derive(Template)]
#[template(path = "distribution_live.html")]
struct LivePart {
    s: Shell,
    d: Distribution,
    watch: Watch,
}

/// What became of the deliveries so far.
struct Watch {
    rows: Vec<Row>,
    taps: Vec<Taps>,
    sent: u64,
    /// Messages a second since the last look; none at the first.
    rate: Option<u64>,
    /// In milliseconds.
    now: i64,
    /// When what the page shows was submitted, in microseconds since 1970; 0: it was not.
    submitted: i64,
    can: Commands,
    /// How often to look: receipts still come when all is sent.
    every: &'static str,
}

/// How often a button was tapped.
struct Taps {
    kind: &'static str,
    label: String,
    count: u64,
    /// Of those whom the message was delivered to, on a scale of a thousand; a person may tap twice.
    share: u64,
}

impl Taps {
    /// Of every button of the two messages.
    fn of(answer: &GetDistributionResponse, rows: &[Row]) -> Vec<Self> {
        let tapped = answer.distribution.as_ref().map_or(&[][..], |d| &d.taps);
        let messages = [("individual", &answer.individual), ("uniform", &answer.uniform)];
        let taps = messages.into_iter().flat_map(|(kind, template)| {
            let delivered: u64 = rows.iter().filter(|row| row.kind == kind).map(|row| row.delivered).sum();
            let buttons = template.as_ref().map_or(&[][..], |template| &template.suggestions);
            (0..).zip(buttons).map(move |(place, button)| {
                let taps = tapped.iter().filter(|tap| tap.kind == kind && tap.place == place);
                let count = taps.map(|tap| tap.count).sum();
                let share = u128::from(count) * 1_000 / u128::from(delivered.max(1));
                let share = u64::try_from(share).unwrap_or(1_000).min(1_000);
                Self { kind, label: button.text.clone(), count, share }
            })
        });
        taps.collect()
    }
}

/// Deliveries of one kind.
struct Row {
    kind: String,
    total: u64,
    waiting: u64,
    sent: u64,
    delivered: u64,
    displayed: u64,
    failed: u64,
    bars: Vec<(u64, u64, &'static str)>,
}

impl Watch {
    fn of(s: &Shell, answer: &GetDistributionResponse, seen: &Seen, now: i64) -> Self {
        let d = &answer.distribution.clone().unwrap_or_default();
        let mut rows: Vec<Row> = Vec::new();
        for delivery in &d.deliveries {
            let place = rows.iter().position(|row| row.kind == delivery.kind).unwrap_or_else(|| {
                rows.push(Row::of(&delivery.kind));
                rows.len() - 1
            });
            rows[place].add(&delivery.state, delivery.count);
        }
        rows.iter_mut().for_each(Row::draw);
        let sent = rows.iter().map(|row| row.sent).sum();
        let rate = seen.at.filter(|at| now > *at).zip(seen.sent).map(|(at, before)| {
            let millis = u64::try_from(now - at).unwrap_or(1);
            u64::saturating_sub(sent, before).saturating_mul(1_000) / millis
        });
        let every = match d.state() {
            DistributionState::Completed | DistributionState::Cancelled => "15s",
            DistributionState::Unspecified
            | DistributionState::Draft
            | DistributionState::Submitted
            | DistributionState::Running
            | DistributionState::Paused => "2s",
        };
        let taps = Taps::of(answer, &rows);
        let shown = seen.submitted.unwrap_or_else(|| submitted(d));
        let can = Commands::of(s, answer, shown);
        Self { rows, taps, sent, rate, now, submitted: shown, can, every }
    }
}

impl Row {
    fn of(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            total: 0,
            waiting: 0,
            sent: 0,
            delivered: 0,
            displayed: 0,
            failed: 0,
            bars: Vec::new(),
        }
    }

    fn add(&mut self, state: &str, count: u64) {
        self.total += count;
        match state {
            "queued" | "sending" => self.waiting += count,
            "accepted" => self.sent += count,
            "delivered" => {
                self.sent += count;
                self.delivered += count;
            }
            "displayed" => {
                self.sent += count;
                self.delivered += count;
                self.displayed += count;
            }
            _ => self.failed += count,
        }
    }

    /// Read, delivered, with the carrier, waiting and failed, behind one another on a scale of a thousand.
    fn draw(&mut self) {
        let parts = [
            (self.displayed, "displayed"),
            (self.delivered - self.displayed, "delivered"),
            (self.sent - self.delivered, "accepted"),
            (self.waiting, "waiting"),
            (self.failed, "failed"),
        ];
        let (mut from, mut until) = (0, 0);
        for (count, class) in parts {
            until += count;
            let end =
                u64::try_from(u128::from(until) * 1_000 / u128::from(self.total.max(1))).unwrap_or(1_000);
            self.bars.push((from, end - from, class));
            from = end;
        }
    }
}

/// What was seen at the last look; and when that was submitted which the rest of the page shows.
#[derive(Default, Deserialize)]
struct Seen {
    sent: Option<u64>,
    at: Option<i64>,
    submitted: Option<i64>,
}

async fn get_one(visitor: &Visitor, id: String) -> Result<GetDistributionResponse, Failure> {
    let request = GetDistributionRequest { distribution_id: id };
    Ok(visitor.distributions().get_distribution(request).await?.into_inner())
}

async fn show(
    visitor: Visitor,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    Ok(Html(page(visitor, &console, id, None).await?.render()?))
}

async fn page(
    visitor: Visitor,
    console: &Console,
    id: String,
    preview: Option<Preview>,
) -> Result<ShowPage, Failure> {
    let answer = get_one(&visitor, id).await?;
    let watch = Watch::of(&visitor.s, &answer, &Seen::default(), console.now());
    let d = answer.distribution.unwrap_or_default();
    let trials = trials::Trials::of(&visitor, &d, console.now()).await?;
    let columns = answer.individual.as_ref().map(|template| {
        let names = template.variables.iter().map(|variable| variable.name.as_str());
        std::iter::once("customer_id").chain(names).collect::<Vec<_>>().join(",")
    });
    Ok(ShowPage {
        watch,
        uniform: Bubble::of_template(&answer.uniform.unwrap_or_default()),
        individual: answer.individual.as_ref().map(Bubble::of_template),
        columns: columns.unwrap_or_default(),
        d,
        s: visitor.s,
        preview,
        trials,
    })
}

async fn live(
    visitor: Visitor,
    State(console): State<Console>,
    Path(id): Path<String>,
    Query(seen): Query<Seen>,
) -> Result<Html<String>, Failure> {
    let answer = get_one(&visitor, id).await?;
    let watch = Watch::of(&visitor.s, &answer, &seen, console.now());
    let d = answer.distribution.unwrap_or_default();
    Ok(Html(LivePart { s: visitor.s, d, watch }.render()?))
}

/// Who would get which, with samples.
struct Preview {
    counts: PreviewDistributionResponse,
    samples: Vec<Bubble>,
}

#[derive(Template)]
#[template(path = "distribution_preview.html")]
struct PreviewPart {
    s: Shell,
    preview: Option<Preview>,
}

async fn preview(
    visitor: Visitor,
    State(console): State<Console>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Failure> {
    let request = PreviewDistributionRequest { distribution_id: id.clone(), operator: String::new() };
    let counts = visitor.distributions().preview_distribution(request).await?.into_inner();
    let samples = counts.individual_samples.iter().map(Bubble::of).collect();
    let preview = Some(Preview { counts, samples });
    if headers.contains_key("hx-request") {
        return Ok(Html(PreviewPart { s: visitor.s, preview }.render()?));
    }
    Ok(Html(page(visitor, &console, id, preview).await?.render()?))
}

#[cfg(test)]
mod tests {
    use musubi_proto::information::v1::{DeliveryCount, TapCount};

    use super::*;

    #[test]
    fn states_are_added_up_and_drawn_within_the_whole() {
        let count =
            |kind: &str, state: &str, count| DeliveryCount { kind: kind.into(), state: state.into(), count };
        let deliveries = vec![
            count("individual", "displayed", 2),
            count("individual", "delivered", 1),
            count("uniform", "accepted", 5),
            count("uniform", "queued", 3),
            count("uniform", "dead", 1),
        ];
        let taps = vec![TapCount { kind: "individual".into(), place: 1, count: 2 }];
        let d =
            Distribution { deliveries, taps, state: DistributionState::Running.into(), ..Default::default() };
        let buttons = ["残高", "詳細"].map(|text| Suggestion { text: text.into(), ..Suggestion::default() });
        let individual = Some(wire::Template { suggestions: buttons.to_vec(), ..wire::Template::default() });
        let d = GetDistributionResponse { distribution: Some(d), individual, ..Default::default() };
        let s = super::super::shell::tests::shell(&[musubi_domain::caller::Role::Editor], "/");
        let seen = Seen { sent: Some(2), at: Some(1_000), submitted: Some(0) };
        let watch = Watch::of(&s, &d, &seen, 3_000);
        assert_eq!((watch.sent, watch.rate), (8, Some(3)));
        let tapped: Vec<_> =
            watch.taps.iter().map(|taps| (taps.kind, &*taps.label, taps.count, taps.share)).collect();
        assert_eq!(tapped, [("individual", "残高", 0, 0), ("individual", "詳細", 2, 666)]);
        let [individual, uniform] = &watch.rows[..] else { panic!() };
        assert_eq!((individual.sent, individual.delivered, individual.displayed), (3, 3, 2));
        assert_eq!((uniform.total, uniform.waiting, uniform.failed), (9, 3, 1));
        assert!(watch.rows.iter().all(|row| row.bars.iter().map(|bar| bar.1).sum::<u64>() == 1_000));
        let can = watch.can;
        assert!(can.pause && can.cancel && !can.start && !can.resume && !can.upload);
        assert_eq!(Watch::of(&s, &d, &Seen::default(), 3_000).rate, None);
    }
}

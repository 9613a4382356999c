//! What happened day by day, as the overview draws it: who came and left, how far they got, and by which method they were confirmed.
//!
//! Surprising: each chart has a table of the same figures below it, because a picture says nothing to who can't see it; and a chart's scale is its own.

use std::collections::BTreeMap;

use musubi_proto::information::v1::{DayCounts, ListDaysRequest};

use super::{failure::Failure, language::Language, visitor::Visitor};

/// How many days are drawn.
const DAYS: u32 = 30;
/// How wide and high a chart is, and a day of it.
const HEIGHT: u64 = 120;
const DAY: u64 = 20;

/// One kind of figure of a chart.
struct Series {
    text: &'static str,
    colour: usize,
    count: fn(&DayCounts) -> u64,
}

/// A chart and its table.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What its colours mean.
    pub(super) legend: Vec<(&'static str, usize)>,
    pub(super) bars: Vec<Bar>,
    /// How wide it is.
    pub(super) width: u64,
    pub(super) rows: Vec<Row>,
}

/// A rectangle: on the left, from the top, its width and height.
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) colour: usize,
}

/// A day's figures, in the order of the legend.
pub(super) struct Row {
    pub(super) date: String,
    pub(super) counts: Vec<u64>,
}

/// The charts of an account and a carrier; empty: of all.
pub(super) async fn charts(visitor: &Visitor, account: &str, carrier: &str) -> Result<Vec<Chart>, Failure> {
    let request = ListDaysRequest { official_account: account.to_owned(), days: DAYS };
    let answer = visitor.followers().list_days(request).await?.into_inner();
    let mut days: BTreeMap<String, DayCounts> = BTreeMap::new();
    for day in answer.days.into_iter().filter(|day| carrier.is_empty() || day.carrier == carrier) {
        add(days.entry(day.date.clone()).or_default(), &day);
    }
    let dates = dates(&answer.first_date, &answer.last_date);
    let days: Vec<_> = dates
        .into_iter()
        .map(|date| {
            let counts = days.remove(&date).unwrap_or_default();
            (date, counts)
        })
        .collect();
    Ok(draw_all(&days, visitor.s.language))
}

fn add(sum: &mut DayCounts, day: &DayCounts) {
    sum.came += day.came;
    sum.left += day.left;
    sum.asked += day.asked;
    sum.answered += day.answered;
    sum.wants += day.wants;
    sum.account_given += day.account_given;
    sum.verified += day.verified;
    sum.confirmed_by_card += day.confirmed_by_card;
    sum.confirmed_by_carrier += day.confirmed_by_carrier;
    sum.confirmed_by_document += day.confirmed_by_document;
    sum.untied += day.untied;
}

/// Every date from the first to the last.
fn dates(first: &str, last: &str) -> Vec<String> {
    let Ok(first) = first.parse::<jiff::civil::Date>() else { return Vec::new() };
    let Ok(last) = last.parse::<jiff::civil::Date>() else { return Vec::new() };
    let all = first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last);
    all.take(400).map(|date| date.to_string()).collect()
}

fn confirmed(day: &DayCounts) -> u64 {
    day.confirmed_by_card + day.confirmed_by_carrier + day.confirmed_by_document
}

fn draw_all(days: &[(String, DayCounts)], language: Language) -> Vec<Chart> {
    let say = |japanese, english| language.say(japanese, english);
    let series = |text, colour, count| Series { text, colour, count };
    vec![
        draw(
            "roster",
            say("フォローの増減", "Who came and left"),
            &[
                series(say("フォロー", "came"), 0, |day| day.came),
                series(say("解除", "left"), 5, |day| day.left),
            ],
            days,
        ),
        draw(
            "steps",
            say("段階ごとの人数", "Stages reached"),
            &[
                series(say("質問を送った", "asked"), 4, |day| day.asked),
                series(say("個別のお知らせを希望", "want personal information"), 0, |day| {
                    day.wants
                }),
                series(say("本人確認が完了", "verified"), 1, |day| day.verified),
                series(say("確認済み", "confirmed"), 2, confirmed),
            ],
            days,
        ),
        draw(
            "methods",
            say("確認の方法", "Confirmed by method"),
            &[
                series(say("マイナンバーカード", "My Number card"), 0, |day| day.confirmed_by_card),
                series(say("電話会社の暗証番号", "carrier's PIN"), 1, |day| {
                    day.confirmed_by_carrier
                }),
                series(say("書類", "documents"), 3, |day| day.confirmed_by_document),
            ],
            days,
        ),
    ]
}

/// Bars of a day beside one another, the highest of all days as high as the chart.
fn draw(id: &'static str, title: &'static str, series: &[Series], days: &[(String, DayCounts)]) -> Chart {
    let rows: Vec<Row> = days
        .iter()
        .map(|(date, day)| Row {
            date: date.clone(),
            counts: series.iter().map(|it| (it.count)(day)).collect(),
        })
        .collect();
    let highest = rows.iter().flat_map(|row| &row.counts).copied().max().unwrap_or_default().max(1);
    let width = (DAY - 4) / u64::try_from(series.len()).unwrap_or(1).max(1);
    let mut bars = Vec::new();
    for (left, row) in (0..).step_by(usize::try_from(DAY).unwrap_or(1)).zip(&rows) {
        let mut x = left + 2;
        for (count, series) in row.counts.iter().zip(series) {
            let height = u64::try_from(u128::from(*count) * u128::from(HEIGHT) / u128::from(highest));
            // What happened once is seen beside what happened a million times.
            let height = height.unwrap_or(HEIGHT).max(u64::from(*count > 0) * 2);
            bars.push(Bar { x, y: HEIGHT - height, width, height, colour: series.colour });
            x += width;
        }
    }
    Chart {
        id,
        title,
        legend: series.iter().map(|it| (it.text, it.colour)).collect(),
        bars: bars.into_iter().filter(|bar| bar.height > 0).collect(),
        width: DAY * u64::try_from(days.len()).unwrap_or(1).max(1),
        rows: rows.into_iter().filter(|row| row.counts.iter().any(|count| *count > 0)).rev().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_anything_are_drawn_empty_and_left_out_of_the_table() {
        let dates = dates("2026-02-27", "2026-03-02");
        assert_eq!(dates, ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]);
        let counts = |came, left| DayCounts { came, left, ..DayCounts::default() };
        let days = [counts(1_000_000, 1), counts(0, 0), counts(500_000, 0), counts(0, 0)];
        let days: Vec<_> = dates.into_iter().zip(days).collect();
        let [roster, steps, methods] = &draw_all(&days, Language::English)[..] else { panic!() };
        let drawn: Vec<_> =
            roster.bars.iter().map(|bar| (bar.x, bar.y, bar.width, bar.height, bar.colour)).collect();
        assert_eq!(drawn, [(2, 0, 8, 120, 0), (10, 118, 8, 2, 5), (42, 60, 8, 60, 0)]);
        let rows: Vec<_> = roster.rows.iter().map(|row| (row.date.as_str(), row.counts[0])).collect();
        assert_eq!(rows, [("2026-03-01", 500_000), ("2026-02-27", 1_000_000)], "the newest first");
        assert_eq!((roster.width, steps.rows.len(), methods.bars.len()), (80, 0, 0));
    }

    #[test]
    fn an_answer_that_makes_no_sense_draws_nothing() {
        assert!(dates("", "2026-03-02").is_empty() && dates("2026-03-02", "2026-02-27").is_empty());
        assert_eq!(dates("0001-01-01", "9999-12-31").len(), 400);
        assert_eq!(draw_all(&[], Language::Japanese)[0].width, DAY);
    }
}

//! What the demo prints at its end: text for people, made of the report.
//!
//! Whole phone numbers never stand here. Surprising: the first and the last line say the same, because a long text is read from
//! either end.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, presets};

use super::report::{Delivery, Funnel, Report, StoryEnd, Summary, Timing};

/// The most followers that the table of failures names.
const NAMED: usize = 40;

/// How wide a table gets; what is longer is broken into lines.
const WIDTH: u16 = 120;

/// The whole text; `rooms` are talk rooms already drawn.
pub(super) fn text(report: &Report<'_>, rooms: &[String]) -> String {
    let verdict = verdict(&report.summary);
    let mut parts = vec![
        verdict.clone(),
        titled("Steps (fig. 10)", &steps(report)),
        titled("Funnel", &funnels(&report.funnels)),
        titled("Deliveries of the final distributions", &deliveries(&report.deliveries)),
        titled("Rates", &rates(&report.timings)),
    ];
    if !rooms.is_empty() {
        parts.push(format!("Talk rooms\n\n{}", rooms.join("\n")));
    }
    if let Some(failures) = failures(&report.stories) {
        parts.push(failures);
    }
    parts.push(verdict);
    parts.join("\n\n") + "\n"
}

/// A number of which only the last four digits show.
pub(super) fn masked(phone_number: &str) -> String {
    let shown = phone_number.len().saturating_sub(4);
    format!("*{}", phone_number.get(shown..).unwrap_or_default())
}

fn verdict(summary: &Summary) -> String {
    let Summary { stories, as_expected, wrong_person, wrong_deliveries, .. } = summary;
    let ended = format!(
        "{as_expected} of {stories} stories ended as expected, {wrong_person} people were shown another person's message, \
         {wrong_deliveries} other deliveries went wrong"
    );
    match (summary.success, summary.stuck) {
        (true, _) => format!("OK: {ended}"),
        (false, Some(stage)) => format!("FAILED: nothing moved any more while: {stage}; {ended}"),
        (false, None) => format!("FAILED: {ended}"),
    }
}

fn titled(title: &str, table: &Table) -> String {
    format!("{title}\n{table}")
}

fn table(header: &[&str]) -> Table {
    let style = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
    let mut table = Table::new();
    table.load_style(style).set_header(header.to_vec());
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

fn number(count: impl ToString) -> Cell {
    Cell::new(count).set_alignment(CellAlignment::Right)
}

fn steps(report: &Report<'_>) -> Table {
    let mut table = table(&["step", "what", "count", ""]);
    for step in &report.steps {
        table.add_row([
            Cell::new(step.step),
            Cell::new(step.what),
            number(step.count),
            Cell::new(&step.note),
        ]);
    }
    table
}

/// A column of the funnel: its name and its count.
type Column = (&'static str, fn(&Funnel) -> u64);

const FUNNEL: [Column; 14] = [
    ("follow", |it| it.followers),
    ("asked", |it| it.asked),
    ("replied", |it| it.answered),
    ("wants\nit", |it| it.wants),
    ("gave\nnumber", |it| it.account_given),
    ("verified", |it| it.verified),
    ("confirmed", |it| it.confirmed),
    ("review", |it| it.review),
    ("no\nmatch", |it| it.rejected),
    ("no\naccount", |it| it.no_account),
    ("declined", |it| it.declined),
    ("silent", |it| it.unanswered),
    ("left", |it| it.unfollowed),
    ("other", |it| it.other),
];

fn funnels(funnels: &[Funnel]) -> Table {
    let names: Vec<&str> = ["company", "carrier"].into_iter().chain(FUNNEL.map(|(name, _)| name)).collect();
    let mut table = table(&names);
    for funnel in funnels {
        let cells = [Cell::new(&funnel.official_account), Cell::new(&funnel.carrier)];
        table.add_row(cells.into_iter().chain(FUNNEL.map(|(_, count)| number(count(funnel)))));
    }
    let total = FUNNEL.map(|(_, count)| number(funnels.iter().map(count).sum::<u64>()));
    table.add_row([Cell::new("all"), Cell::new("")].into_iter().chain(total));
    // With the usual space the table is wider than many a terminal.
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 0));
    });
    table
}

fn deliveries(deliveries: &[Delivery]) -> Table {
    let mut table = table(&["company", "kind", "state", "count"]);
    for it in deliveries {
        table.add_row([
            Cell::new(&it.official_account),
            Cell::new(&it.kind),
            Cell::new(&it.state),
            number(it.count),
        ]);
    }
    table
}

fn rates(timings: &[Timing]) -> Table {
    let mut table = table(&["stage", "seconds", "count", "", "per second"]);
    for timing in timings {
        table.add_row([
            Cell::new(timing.stage),
            number(format!("{:.1}", timing.seconds)),
            number(timing.count),
            Cell::new(timing.unit),
            number(format!("{:.0}", timing.per_second)),
        ]);
    }
    table
}

/// Who did not end as they should, and why; none when everybody did.
fn failures(stories: &[StoryEnd<'_>]) -> Option<String> {
    let mut wrong: Vec<&StoryEnd<'_>> = stories.iter().filter(|story| !story.faults.is_empty()).collect();
    if wrong.is_empty() {
        return None;
    }
    wrong.sort_by(|one, other| one.faults.cmp(&other.faults));
    let mut table = table(&["phone", "company", "carrier", "expected", "ended", "why"]);
    for story in wrong.iter().take(NAMED) {
        let customer =
            |word: &str, id: &str| if id.is_empty() { word.to_owned() } else { format!("{word} {id}") };
        let mut why: Vec<String> = story.faults.iter().map(ToString::to_string).collect();
        why.extend((!story.reasons.is_empty()).then(|| story.reasons.to_string()));
        table.add_row([
            masked(story.phone_number),
            story.official_account.to_owned(),
            story.carrier.to_owned(),
            customer(story.expected, story.expected_customer_id),
            customer(story.outcome, &story.customer_id),
            why.join("; "),
        ]);
    }
    let further = match wrong.len().saturating_sub(NAMED) {
        0 => String::new(),
        further => format!("\nand {further} more; --report FILE.json names everybody"),
    };
    Some(format!("Not as they should be\n{table}{further}"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{judge::Fault, report::Step},
        *,
    };

    fn story(last: &'static str, faults: Vec<Fault>) -> StoryEnd<'static> {
        StoryEnd {
            phone_number: last,
            carrier: "kumo",
            official_account: "aoba-bank",
            outcome: "rejected",
            customer_id: "".into(),
            expected: "confirmed",
            expected_customer_id: "A000123",
            as_expected: faults.is_empty(),
            individual_received: 0,
            uniform_received: 1,
            faults,
            reasons: "name_different".into(),
        }
    }

    fn report(stories: Vec<StoryEnd<'static>>) -> Report<'static> {
        let success = stories.iter().all(|story| story.faults.is_empty());
        Report {
            summary: Summary { success, stories: 2, as_expected: 1, ..Summary::default() },
            steps: vec![Step {
                step: "S10",
                what: "customers",
                count: 1500,
                note: "some words, ".repeat(12),
            }],
            funnels: vec![
                Funnel {
                    official_account: "aoba-bank".into(),
                    carrier: "kumo".into(),
                    followers: 40,
                    ..Funnel::default()
                },
                Funnel {
                    official_account: "aoba-bank".into(),
                    carrier: "nami".into(),
                    followers: 2,
                    ..Funnel::default()
                },
            ],
            deliveries: vec![],
            timings: vec![],
            stories,
        }
    }

    #[test]
    fn failures_are_named_with_their_reason_and_a_masked_number() {
        let stories = vec![story("+818000001111", vec![]), story("+818000002222", vec![Fault::Outcome])];
        let text = text(&report(stories), &[]);
        let row = text.lines().find(|line| line.contains("*2222")).unwrap();
        for part in ["confirmed A000123", "rejected", "ended otherwise than the story says; name_different"] {
            assert!(row.contains(part), "{row}");
        }
        assert!(!text.contains("1111") && !text.contains("800000"), "{text}");
        assert!(text.starts_with("FAILED: 1 of 2") && text.lines().last().unwrap().starts_with("FAILED"));
    }

    #[test]
    fn worst_failures_come_first_and_a_long_list_is_cut() {
        let mut stories: Vec<_> = (0..50).map(|_| story("+818000001111", vec![Fault::Missing])).collect();
        stories.push(story("+818000002222", vec![Fault::WrongPerson]));
        let text = failures(&stories).unwrap();
        let place = |digits| text.find(digits).unwrap();
        assert!(
            place("2222") < place("1111")
                && text.ends_with("and 11 more; --report FILE.json names everybody")
        );
    }

    #[test]
    fn without_failures_there_is_no_such_table() {
        let text = text(&report(vec![story("+818000001111", vec![])]), &["room\n".to_owned()]);
        assert!(text.starts_with("OK: ") && !text.contains("Not as they should be"), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(WIDTH), "{widest} columns");
        let all = text.lines().find(|line| line.trim_start().starts_with("all ")).unwrap();
        assert!(all.contains("42"), "the carriers' funnels add up: {all}");
    }
}

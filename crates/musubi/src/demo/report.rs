//! What the demo found, as a file for machines; the tables for people are made of the same values.
//!
//! Phone numbers stand in the file because it was asked for; nothing else of this program writes them. Surprising: the file
//! appears whole or not at all, and replaces an older one.

use std::{
    io::{self, BufWriter, Write as _},
    path::Path,
};

use serde::{Serialize, Serializer};

use super::judge::Fault;

/// The report.
///
/// ```json
/// {
///   "summary": {"success": true, "stuck": null, "stories": 1000, "as_expected": 1000, "not_as_expected": 0,
///     "wrong_person": 0, "wrong_deliveries": 0, "companies": 2, "carriers": 3, "seed": 1, "messages_shown": 4870,
///     "seconds": 4.2},
///   "steps": [{"step": "S10", "what": "…", "count": 1500, "note": "…"}],
///   "funnels": [{"official_account": "aoba-bank", "carrier": "kumo", "followers": 170, "asked": 170, "answered": 151,
///     "wants": 120, "account_given": 120, "verified": 118, "confirmed": 80, "review": 9, "rejected": 25, "no_account": 15,
///     "declined": 16, "unanswered": 14, "unfollowed": 11, "other": 0}],
///   "deliveries": [{"official_account": "aoba-bank", "kind": "individual", "state": "displayed", "count": 240}],
///   "timings": [{"stage": "dialogues", "seconds": 2.5, "count": 1000, "unit": "followers", "per_second": 400.0}],
///   "stories": [{"phone_number": "+81…", "carrier": "kumo", "official_account": "aoba-bank", "outcome": "confirmed",
///     "customer_id": "A000001", "expected": "confirmed", "expected_customer_id": "A000001", "as_expected": true,
///     "individual_received": 1, "uniform_received": 0, "faults": []}]
/// }
/// ```
///
/// `outcome` is a word of stories, or `waiting`, `underway`, `abandoned`, `locked`, `unknown` for a story that came to no
/// end. `customer_id` is the customer tied, or in `review` the one proposed; empty without one. `as_expected` is about outcome and
/// customer; `faults` names everything that is wrong with the follower, deliveries too. `*_received` count what the talk
/// room shows of the final distribution. `other` counts followers without an end.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) summary: Summary,
    pub(super) steps: Vec<Step>,
    pub(super) funnels: Vec<Funnel>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) timings: Vec<Timing>,
    pub(super) stories: Vec<StoryEnd<'a>>,
}

/// The whole in a few numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) success: bool,
    /// The stage that stopped moving.
    pub(super) stuck: Option<&'static str>,
    pub(super) stories: u64,
    pub(super) as_expected: u64,
    pub(super) not_as_expected: u64,
    /// Followers who were shown a message made for another person.
    pub(super) wrong_person: u64,
    /// Followers to whom anything else of the distribution went wrong.
    pub(super) wrong_deliveries: u64,
    pub(super) companies: usize,
    pub(super) carriers: usize,
    pub(super) seed: u64,
    pub(super) messages_shown: u64,
    pub(super) seconds: f64,
}

/// One step of the patent's fig. 10.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) what: &'static str,
    pub(super) count: u64,
    pub(super) note: String,
}

/// The funnel of one official account at one carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Funnel {
    pub(super) official_account: String,
    pub(super) carrier: String,
    pub(super) followers: u64,
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) wants: u64,
    pub(super) account_given: u64,
    pub(super) verified: u64,
    pub(super) confirmed: u64,
    pub(super) review: u64,
    pub(super) rejected: u64,
    pub(super) no_account: u64,
    pub(super) declined: u64,
    pub(super) unanswered: u64,
    pub(super) unfollowed: u64,
    pub(super) other: u64,
}

/// Deliveries of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Delivery {
    pub(super) official_account: String,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) count: u64,
}

/// How long a stage took, and how much it did.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Timing {
    pub(super) stage: &'static str,
    pub(super) seconds: f64,
    pub(super) count: u64,
    pub(super) unit: &'static str,
    pub(super) per_second: f64,
}

impl Timing {
    /// A stage that did so many of something.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people needs no more than 52 bits")]
    pub(super) fn new(stage: &'static str, seconds: f64, count: u64, unit: &'static str) -> Self {
        let per_second = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self { stage, seconds, count, unit, per_second }
    }
}

/// How one story ended.
#[derive(Serialize)]
pub(super) struct StoryEnd<'a> {
    pub(super) phone_number: &'a str,
    pub(super) carrier: &'a str,
    pub(super) official_account: &'a str,
    pub(super) outcome: &'static str,
    pub(super) customer_id: Box<str>,
    pub(super) expected: &'static str,
    pub(super) expected_customer_id: &'a str,
    pub(super) as_expected: bool,
    pub(super) individual_received: u32,
    pub(super) uniform_received: u32,
    #[serde(serialize_with = "in_words")]
    pub(super) faults: Vec<Fault>,
    /// Why the match was decided so; for the table only.
    #[serde(skip)]
    pub(super) reasons: Box<str>,
}

fn in_words<S: Serializer>(faults: &[Fault], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(faults.iter().map(ToString::to_string))
}

impl Report<'_> {
    /// Writes the file.
    ///
    /// # Errors
    /// When its folder can't be written to.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".report-").tempfile_in(folder)?;
        let mut writer = BufWriter::new(&mut file);
        serde_json::to_writer(&mut writer, self)?;
        writer.write_all(b"\n")?;
        writer.flush()?;
        drop(writer);
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(success: bool) -> Report<'static> {
        let story = StoryEnd {
            phone_number: "+818012345678",
            carrier: "kumo",
            official_account: "aoba-bank",
            outcome: "rejected",
            customer_id: "".into(),
            expected: "confirmed",
            expected_customer_id: "A1",
            as_expected: false,
            individual_received: 0,
            uniform_received: 1,
            faults: vec![Fault::Outcome],
            reasons: "birth date differs".into(),
        };
        Report {
            summary: Summary { success, ..Summary::default() },
            steps: vec![],
            funnels: vec![],
            deliveries: vec![],
            timings: vec![],
            stories: vec![story],
        }
    }

    #[test]
    fn every_story_stands_with_what_was_promised() {
        let value = serde_json::to_value(report(false)).unwrap();
        let story = &value["stories"][0];
        for (field, expected) in [
            ("phone_number", serde_json::json!("+818012345678")),
            ("official_account", "aoba-bank".into()),
            ("outcome", "rejected".into()),
            ("customer_id", "".into()),
            ("expected", "confirmed".into()),
            ("as_expected", false.into()),
            ("individual_received", 0.into()),
            ("uniform_received", 1.into()),
            ("faults", serde_json::json!(["ended otherwise than the story says"])),
        ] {
            assert_eq!(story[field], expected, "{field}");
        }
    }

    #[test]
    fn file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        for success in [false, true] {
            report(success).write(&path).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(value["summary"]["success"], success);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(report(true).write(&folder.path().join("none/report.json")).is_err());
    }
}

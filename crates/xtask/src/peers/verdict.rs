//! What was measured, side by side: rates, how many times Musubi's is each peer's, and whether that is as much as it has to be.
//!
//! Surprising: a peer that can't be had here stands in the table with what is known of it, and decides nothing.

use std::fmt::{self, Display, Formatter};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

/// So many, in so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) count: u64,
    pub(super) seconds: f64,
}

impl Rate {
    /// How many in a second.
    pub(super) fn per_second(self) -> f64 {
        self.count as f64 / self.seconds.max(1e-9)
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { count, seconds } = *self;
        write!(f, "{} in {seconds:.1} s, {}/s", thousands(count), thousands(self.per_second() as u64))
    }
}

/// Where a peer's figure comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    /// This run.
    Measured(Rate),
    /// What others said of another machine, in a second: it can't be had here.
    Known(f64),
}

impl Figure {
    fn per_second(self) -> f64 {
        match self {
            Self::Measured(rate) => rate.per_second(),
            Self::Known(per_second) => per_second,
        }
    }
}

/// A peer, and how many times as fast as it Musubi has to be.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) did: &'static str,
    pub(super) figure: Figure,
    pub(super) to_reach: f64,
}

impl Peer {
    fn ratio(&self, musubi: Rate) -> f64 {
        musubi.per_second() / self.figure.per_second().max(1e-9)
    }

    /// None: it was not measured.
    fn reached(&self, musubi: Rate) -> Option<bool> {
        match self.figure {
            Figure::Measured(_) => Some(self.ratio(musubi) >= self.to_reach),
            Figure::Known(_) => None,
        }
    }
}

/// Musubi beside its peers.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) musubi: Rate,
    pub(super) peers: Vec<Peer>,
}

impl Verdict {
    /// For people.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["who", "did what", "a second", "Musubi by it", "to reach", "reached"]);
        let of = |rate: f64| thousands(rate as u64);
        let musubi = "messages with reports, on PostgreSQL";
        table.add_row(["Musubi", musubi, &of(self.musubi.per_second()), "", "", ""]);
        for peer in &self.peers {
            let reached = match peer.reached(self.musubi) {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "not to be had here",
            };
            let (ratio, to_reach) = (format!("{:.2}", peer.ratio(self.musubi)), peer.to_reach.to_string());
            let per_second = of(peer.figure.per_second());
            table.add_row([peer.name.as_str(), peer.did, &per_second, &ratio, &to_reach, reached]);
        }
        for column in 2..=4 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// The same for programs, to which `more` is added.
    pub(super) fn json(&self, more: Value) -> Value {
        let rate = |rate: Rate| json!({ "count": rate.count, "seconds": rate.seconds, "per_second": rate.per_second() });
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(|peer| {
                let figure = match peer.figure {
                    Figure::Measured(measured) => rate(measured),
                    Figure::Known(per_second) => json!({ "per_second": per_second }),
                };
                json!({
                    "peer": peer.name,
                    "did": peer.did,
                    "measured": matches!(peer.figure, Figure::Measured(_)),
                    "figure": figure,
                    "ratio": peer.ratio(self.musubi),
                    "to_reach": peer.to_reach,
                    "reached": peer.reached(self.musubi),
                })
            })
            .collect();
        json!({ "musubi": rate(self.musubi), "peers": peers, "run": more })
    }

    /// An error that names the peers beside which Musubi is not as fast as it has to be.
    pub(super) fn judge(&self) -> anyhow::Result<()> {
        let slow: Vec<String> = self
            .peers
            .iter()
            .filter(|peer| peer.reached(self.musubi) == Some(false))
            .map(|peer| {
                format!(
                    "{:.2} of {} times {} ({})",
                    peer.ratio(self.musubi),
                    peer.to_reach,
                    peer.name,
                    peer.did
                )
            })
            .collect();
        anyhow::ensure!(slow.is_empty(), "not reached: {}", slow.join(", "));
        Ok(())
    }
}

/// `12345` as `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, per_second: u64, to_reach: f64) -> Peer {
        let figure = Figure::Measured(Rate { count: per_second * 2, seconds: 2.0 });
        Peer { name: name.to_owned(), did: "messages", figure, to_reach }
    }

    fn verdict(peers: Vec<Peer>) -> Verdict {
        Verdict { musubi: Rate { count: 100_000, seconds: 5.0 }, peers }
    }

    #[test]
    fn as_fast_as_it_has_to_be_is_reached_and_slower_is_named() {
        let exactly = peer("as it is", 2_000, 10.0);
        verdict(vec![exactly.clone()]).judge().unwrap();
        let error = verdict(vec![exactly, peer("faster", 2_001, 10.0)]).judge().unwrap_err();
        assert_eq!(error.to_string(), "not reached: 10.00 of 10 times faster (messages)");
    }

    #[test]
    fn peer_that_is_not_to_be_had_decides_nothing_and_is_shown() {
        let known = Peer { figure: Figure::Known(1_000_000.0), ..peer("far", 1, 30.0) };
        let verdict = verdict(vec![known]);
        verdict.judge().unwrap();
        let table = verdict.table().to_string();
        assert!(table.contains("1,000,000") && table.contains("not to be had here"), "{table}");
        let told = verdict.json(json!({ "cores": 2 }));
        assert_eq!(told["peers"][0]["reached"], Value::Null);
        assert_eq!(told["peers"][0]["figure"], json!({ "per_second": 1_000_000.0 }));
        assert_eq!((&told["run"]["cores"], &told["musubi"]["per_second"]), (&json!(2), &json!(20_000.0)));
    }

    #[test]
    fn table_has_rates_ratios_and_outcomes() {
        let table = verdict(vec![peer("slow", 1_000, 10.0), peer("fast", 16_000, 4.0)]).table().to_string();
        let row = |name: &str| {
            let line = table.lines().find(|line| line.contains(name)).unwrap();
            line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ")
        };
        assert!(row("messages with reports").starts_with("Musubi") && table.contains("20,000"), "{table}");
        assert_eq!(row("slow"), "slow messages 1,000 20.00 10 yes");
        assert_eq!(row("fast"), "fast messages 16,000 1.25 4 NO");
    }

    #[test]
    fn thousands_are_parted() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}

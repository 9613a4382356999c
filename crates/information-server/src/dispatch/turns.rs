//! Whose turn it is: companies in turn, whoever had least of late first, whatever the number of their accounts and distributions.
//!
//! Surprising: a company that had nothing of late goes before one in the middle of a million messages until it has had as many, so
//! a small distribution beside a large one takes hardly longer than alone. What a company had counts half after a minute, so nobody
//! waits for long.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    vec,
};

use jiff::Timestamp;
use musubi_domain::id::CompanyId;
use musubi_storage::information::delivery::DueSource;

/// After how many seconds messages count half.
const HALVED_AFTER: i64 = 60;

/// How many messages each company had of late over one carrier.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<CompanyId, Had>>);

#[derive(Clone, Copy, Debug, Default)]
struct Had {
    messages: u64,
    /// Counted in halvings.
    when: i64,
}

impl Had {
    fn at(self, when: i64) -> u64 {
        let halvings = u32::try_from(when.saturating_sub(self.when)).unwrap_or_default();
        self.messages.checked_shr(halvings).unwrap_or_default()
    }
}

impl Turns {
    /// The company had so many messages.
    pub(super) fn had(&self, company: &CompanyId, messages: u64, now: Timestamp) {
        let when = halvings(now);
        let mut had = self.lock();
        let before = had.get(company).copied().unwrap_or_default();
        had.insert(company.clone(), Had { messages: before.at(when).saturating_add(messages), when });
    }

    /// One source of each company, then another of each, and so on. Each round begins with another source of a company.
    pub(super) fn order<'a>(
        &self,
        sources: Vec<DueSource>,
        company_of: impl Fn(&DueSource) -> Option<&'a CompanyId>,
        round: usize,
        now: Timestamp,
    ) -> Vec<DueSource> {
        let mut by_company: BTreeMap<Option<&CompanyId>, Vec<DueSource>> = BTreeMap::new();
        for source in sources {
            by_company.entry(company_of(&source)).or_default().push(source);
        }
        let when = halvings(now);
        let had = self.lock();
        let had = |company: &CompanyId| had.get(company).map_or(0, |had| had.at(when));
        let mut companies: Vec<_> = by_company.into_iter().collect();
        companies.sort_by_key(|(company, _)| company.map_or(0, &had));
        let mut left: Vec<vec::IntoIter<DueSource>> = Vec::with_capacity(companies.len());
        for (_, mut sources) in companies {
            let first = round % sources.len();
            sources.rotate_left(first);
            left.push(sources.into_iter());
        }
        let mut order = Vec::new();
        loop {
            let before = order.len();
            order.extend(left.iter_mut().filter_map(Iterator::next));
            if order.len() == before {
                return order;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CompanyId, Had>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn halvings(now: Timestamp) -> i64 {
    now.as_second().div_euclid(HALVED_AFTER)
}

#[cfg(test)]
mod tests {
    use musubi_storage::information::delivery::Source;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    /// A company, how many messages it had, and in which minute.
    type HadOnce = (&'static str, u64, i64);

    /// Sources are named by their company and a number: a1 is company a's.
    fn order(had: &[HadOnce], sources: &str, round: usize, minute: i64) -> String {
        let turns = Turns::default();
        let companies = ["a", "b", "c"].map(|company| company.parse::<CompanyId>().unwrap());
        for (company, messages, when) in had {
            turns.had(&company.parse().unwrap(), *messages, at(*when));
        }
        let source = |name: &str| DueSource {
            source: Source::Dialogues(name.parse().unwrap()),
            account: name.parse().unwrap(),
            messages_per_second: 0,
            count: 1,
        };
        let company_of =
            |due: &DueSource| companies.iter().find(|id| due.account.as_str().starts_with(id.as_str()));
        let sources = sources.split(' ').map(source).collect();
        let ordered = turns.order(sources, company_of, round, at(minute));
        let names: Vec<&str> = ordered.iter().map(|due| due.account.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn companies_are_served_in_turn_and_who_had_least_of_late_first() {
        let table: [(&[HadOnce], &str, usize, &str); 11] = [
            // However many sources a company has.
            (&[], "a1 a2 a3 a4 b1", 0, "a1 b1 a2 a3 a4"),
            (&[], "a1 a2 b1 b2 c1", 0, "a1 b1 c1 a2 b2"),
            // Of one company another source each round.
            (&[], "a1 a2 a3", 1, "a2 a3 a1"),
            (&[], "a1 a2 a3 b1 b2", 5, "a3 b2 a1 b1 a2"),
            // Who had least.
            (&[("a", 1_000, 2)], "a1 a2 b1", 0, "b1 a1 a2"),
            (&[("a", 1_000, 2), ("b", 999, 2)], "a1 b1 b2", 0, "b1 a1 b2"),
            (&[("a", 999, 2), ("b", 1_000, 2)], "a1 b1 b2", 0, "a1 b1 b2"),
            (&[("a", 500, 2), ("b", 900, 2), ("a", 500, 2)], "a1 b1", 0, "b1 a1"),
            // Of late: what was long ago counts half, a quarter, nothing.
            (&[("a", 1_000, 0), ("b", 300, 2)], "a1 b1", 0, "a1 b1"),
            (&[("a", 1_000, 1), ("b", 300, 2)], "a1 b1", 0, "b1 a1"),
            // What no company of the configuration owns, goes as if it had had nothing.
            (&[("a", 1, 2)], "a1 x1 x2", 0, "x1 a1 x2"),
        ];
        for (had, sources, round, expected) in table {
            assert_eq!(order(had, sources, round, 2), expected, "{had:?} {sources} {round}");
        }
    }

    #[test]
    fn what_was_had_is_forgotten_in_time_and_never_by_a_clock_that_is_set_back() {
        let had = [("a", u64::MAX, 1_000)];
        assert_eq!(order(&had, "b1 a1", 0, 0), "b1 a1");
        assert_eq!(order(&had, "a1 b1", 0, 1_063), "b1 a1");
        assert_eq!(order(&had, "a1 b1", 0, 1_064), "a1 b1");
    }
}

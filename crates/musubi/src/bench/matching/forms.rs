//! Normal forms made and compared, on one core.

use std::{collections::HashMap, hint::black_box};

use musubi_matching::{AddressForm, NameForm, PreparedRecord};
use unicode_normalization::UnicodeNormalization as _;

use super::{Bench, SAMPLE};
use crate::{
    bench::matching::join::{Number, number},
    bench::table::{Measure, fastest, rate},
};

/// Passes over the sample.
const PASSES: usize = 5;

/// Names and addresses normalised beside NFKC, compared beside a look-up in a hash table.
pub(super) fn measure(bench: &Bench) -> Vec<Measure> {
    let names: Vec<&str> = bench.sample.iter().map(|customer| customer.name.as_str()).collect();
    let addresses: Vec<&str> = bench.sample.iter().map(|customer| customer.address.as_str()).collect();
    let nfkc = |text: &&str| drop(black_box(text.nfkc().collect::<String>()));
    let name = |text: &&str| drop(black_box(NameForm::new(text)));
    let address = |text: &&str| drop(black_box(AddressForm::new(text)));
    let table: HashMap<Number, u32> = bench.master.numbers.iter().copied().zip(0..).collect();
    let asked: Vec<Number> = bench
        .answers
        .iter()
        .take(SAMPLE)
        .filter_map(|answer| number(&answer.account.account_number))
        .collect();
    let look_up = over(&asked, |number| {
        black_box(table.get(black_box(number)));
    });
    let pairs = pairs(bench, &table);
    let names_compared = over(&pairs, |(row, name, _)| drop(black_box(row.name.compare(name))));
    let addresses_compared = over(&pairs, |(row, _, address)| drop(black_box(row.address.compare(address))));
    vec![
        Measure::new(("names normalised", over(&names, name)), ("NFKC alone", over(&names, nfkc))),
        Measure::new(
            ("addresses normalised", over(&addresses, address)),
            ("NFKC alone", over(&addresses, nfkc)),
        ),
        Measure::new(("prepared names compared", names_compared), ("a hash look-up", look_up)),
        Measure::new(("prepared addresses compared", addresses_compared), ("a hash look-up", look_up)),
    ]
}

/// Rows and what is attested: by turns of the answer to that row, and of the answer before.
fn pairs(bench: &Bench, table: &HashMap<Number, u32>) -> Vec<(PreparedRecord, NameForm, AddressForm)> {
    let answers = bench.answers.iter().take(SAMPLE);
    let before = bench.answers.iter().cycle().skip(bench.answers.len().saturating_sub(1));
    let pairs = answers.zip(before).enumerate().filter_map(|(place, (answer, before))| {
        let row = table.get(&number(&answer.account.account_number)?)?;
        let identity = if place % 2 == 0 { &answer.identity } else { &before.identity };
        let record = bench.master.record(*row as usize)?;
        Some((record, NameForm::new(&identity.name), AddressForm::new(&identity.address)))
    });
    pairs.collect()
}

/// How often `work` is done in a second, on each of these.
fn over<T>(all: &[T], work: impl Fn(&T)) -> f64 {
    rate(all.len(), fastest(PASSES, || all.iter().for_each(&work)))
}

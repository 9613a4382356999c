//! The quality of matching, measured: labelled pairs of every kind of rewriting and of every kind of near miss.
//!
//! Each kind has the share that must be judged equal; what is missed must be for review. Of two different values none may
//! be equal, in any kind. The words are from public knowledge; no set that the rules were made on decides here alone.
//! `cargo test -p musubi-matching --test quality -- --nocapture` shows the tables.

mod accounts;
mod addresses;
mod birth_dates;
mod digests;
mod names;
mod rooms;
mod tally;
mod towns;

use addresses::Town;
use tally::Tally;

/// The least share of equal, in percent, by kind.
#[expect(clippy::print_stdout, reason = "the table is what a person wants of this test")]
#[track_caller]
fn check(same: &Tally, least: &[(&str, f64)]) {
    println!(
        "{:<18}{:>8}{:>11}{:>8}{:>8}\n{}",
        "one value",
        "pairs",
        "equal",
        "review",
        "different",
        same.shown()
    );
    let kinds: Vec<_> = same.0.keys().copied().collect();
    let mut known: Vec<_> = least.iter().map(|(kind, _)| *kind).collect();
    known.sort_unstable();
    assert_eq!(kinds, known);
    for (name, least) in least {
        let kind = &same.0[name];
        let [equal, review, different] = kind.judged;
        let share = 100.0 * equal as f64 / (equal + review + different) as f64;
        assert!(share >= *least, "{name}: {share:.2} % {:#?}", kind.missed);
        assert_eq!(different, 0, "{name}: {:#?}", kind.missed);
    }
}

#[expect(clippy::print_stdout, reason = "the table is what a person wants of this test")]
#[track_caller]
fn check_none(different: &Tally) {
    println!(
        "{:<18}{:>8}{:>11}{:>8}{:>8}\n{}",
        "two values",
        "pairs",
        "equal",
        "review",
        "different",
        different.shown()
    );
    for (name, kind) in &different.0 {
        assert!(kind.equals.is_empty(), "{name}: {:#?}", kind.equals);
    }
}

#[test]
fn names_of_one_person_are_equal_and_of_two_never() {
    let (mut same, mut different) = (Tally::default(), Tally::default());
    names::tally(&mut same, &mut different);
    let kinds = [
        "spaces",
        "width",
        "hiragana",
        "combining",
        "zengin",
        "ivs",
        "iteration",
        "compatibility",
        "old_new",
        "everyday_itaiji",
        "latin",
    ];
    let mut least = kinds.map(|kind| (kind, 100.0)).to_vec();
    least.push(("rare_itaiji", 98.5));
    // These a person judges for the most part.
    least.extend([("foreign", 35.0), ("spelling", 40.0), ("placeholder", 0.0), ("replaced", 25.0)]);
    check(&same, &least);
    check_none(&different);
}

#[test]
fn addresses_of_one_house_are_equal_and_of_two_never() {
    let (mut same, mut different) = (Tally::default(), Tally::default());
    let towns: Vec<Town> = addresses::TOWNS.trim().lines().map(Town::of).collect();
    addresses::tally(&towns, &mut same, &mut different);
    let kinds = [
        ("hyphens", 100.0),
        ("ban_go", 100.0),
        ("numerals", 100.0),
        ("spaces", 100.0),
        ("width_chome", 99.5),
        ("city", 99.5),
        ("aza", 99.0),
        ("prefecture", 99.0),
        ("county", 98.0),
        ("itaiji", 95.0),
        ("kyoto", 90.0),
        ("building", 98.0),
        ("building_missing", 99.0),
    ];
    check(&same, &kinds);
    check_none(&different);
}

#[test]
fn accounts_of_one_number_are_equal_and_of_two_never() {
    let (mut same, mut different) = (Tally::default(), Tally::default());
    accounts::tally(&mut same, &mut different);
    let kinds =
        ["width", "branch", "padding", "sentence", "deposit", "japan_post", "customer_number", "chat"];
    let mut least = kinds.map(|kind| (kind, 100.0)).to_vec();
    least.push(("asked_again", 0.0));
    check(&same, &least);
    check_none(&different);
}

#[test]
fn birth_dates_of_one_day_are_equal_and_of_two_never() {
    let (mut same, mut different) = (Tally::default(), Tally::default());
    birth_dates::tally(&mut same, &mut different);
    let mut least = ["western", "era", "jpki", "bank", "written_out"].map(|kind| (kind, 100.0)).to_vec();
    least.push(("asked_again", 0.0));
    check(&same, &least);
    check_none(&different);
}

#[test]
fn houses_of_towns_that_look_like_numbers_are_never_told_apart_from_themselves() {
    let (mut same, mut different) = (Tally::default(), Tally::default());
    towns::tally(&mut same, &mut different);
    let kinds = [
        ("hyphens", 100.0),
        ("ban_go", 100.0),
        ("numerals", 98.5),
        ("spaces", 100.0),
        ("width_chome", 100.0),
        ("city", 100.0),
        ("aza", 100.0),
        ("prefecture", 100.0),
        ("county", 100.0),
        ("itaiji", 100.0),
        ("kyoto", 100.0),
        ("building", 100.0),
        ("building_missing", 100.0),
        ("as_written", 99.9),
        ("kanji_lots", 98.5),
        ("kanji_spaced", 100.0),
        ("counted_digits", 99.5),
        ("counted_wide", 99.5),
        ("ordinal", 99.5),
        ("short", 99.0),
        ("chome_hyphen", 100.0),
        ("abbreviated", 60.0),
    ];
    check(&same, &kinds);
    check_none(&different);
}

#[test]
fn rooms_of_one_number_are_equal_or_for_review_and_others_never_equal() {
    let (mut same, mut different) = (Tally::default(), Tally::default());
    rooms::tally(&mut same, &mut different);
    check(&same, &[("rooms", 75.0)]);
    check_none(&different);
}

/// Of what is equal, so much is equal by digests, and nothing by digests alone. Where it is less than all, a company is asked.
#[test]
fn digests_find_nearly_all_that_is_equal_and_nothing_that_is_not() {
    let tallied = |tally: &dyn Fn(&mut Tally, &mut Tally)| {
        let (mut same, mut different) = (Tally::default(), Tally::default());
        tally(&mut same, &mut different);
        [same, different]
    };
    let listed: Vec<Town> = addresses::TOWNS.trim().lines().map(Town::of).collect();
    let sets: [(&str, [Tally; 2], digests::AreEqual); 4] = [
        ("names", tallied(&names::tally), digests::names),
        (
            "addresses",
            tallied(&|same, different| addresses::tally(&listed, same, different)),
            digests::addresses,
        ),
        ("towns", tallied(&towns::tally), digests::addresses),
        ("rooms", tallied(&rooms::tally), digests::addresses),
    ];
    for (set, tallies, by_digests) in sets {
        let (mut all, mut by_all) = (0, 0);
        for (kind, equal, found) in tallies.iter().flat_map(|tally| digests::of(tally, 200, by_digests)) {
            println!("{set:<10} {kind:<18}{equal:>8}{found:>8}");
            (all, by_all) = (all + equal, by_all + found);
        }
        assert!(by_all * 100 >= all * 95, "{set}: {by_all} of {all}");
    }
}

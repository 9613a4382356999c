//! Reads the MJ shrink map out of the jntajis crate, and the pairs of `data/kanji_forms.txt`, into one flat, sorted table:
//! two characters and how they are related.
//!
//! The map enumerates candidates and names a basis for each; asking it at run time costs a hundred times a look-up.
//! The data is CC BY-SA 2.1 JP; data/NOTICE.md credits it.
//!
//! The surprising thing: the map speaks of glyphs, and one code point may be several glyphs, so for everyday characters
//! it also holds what is true of a rare glyph only (師 to 帥, 書 to 晝, 玉 to 王). An edge is trusted when its basis is a
//! family-register notice or JIS unification, its targets are forms of one another, and the file does not keep it apart.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

use jntajis::codec::mj_shrink::{MJShrinkScheme, MJShrinkSchemes, mj_shrink_candidates};
use unicode_normalization::UnicodeNormalization as _;

type Edges = BTreeMap<char, BTreeSet<char>>;

/// In the table, the later the weaker.
const OFFICIAL: u8 = 0;
const FAMILY_REGISTER: u8 = 1;
const WEAK: u8 = 2;

const FORMS: &str = "data/kanji_forms.txt";

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FORMS}");
    let forms = fs::read_to_string(FORMS)?;
    let official = pairs(&forms, "= ")?;
    let apart = pairs(&forms, "| ")?;
    let dictionary = pairs(&forms, "~ ")?;
    let merged: BTreeSet<char> =
        forms.lines().filter_map(|l| l.strip_prefix("< ")).flat_map(str::chars).collect();
    let mut table: BTreeMap<(char, char), u8> = BTreeMap::new();
    let mut relate = |a: char, b: char, kinship: u8| {
        let pair = (a.min(b), a.max(b));
        if a != b && (kinship == WEAK || !(apart.contains(&(a, b)) || apart.contains(&(b, a)))) {
            table.entry(pair).and_modify(|k| *k = kinship.min(*k)).or_insert(kinship);
        }
    };

    let trusted = trusted_edges(&official, &apart);
    official.iter().for_each(|(a, b)| relate(*a, *b, OFFICIAL));
    dictionary.iter().for_each(|(a, b)| relate(*a, *b, WEAK));
    for (from, targets) in &trusted {
        for to in targets {
            relate(*from, *to, FAMILY_REGISTER);
            for further in trusted.get(to).into_iter().flatten().filter(|_| !merged.contains(to)) {
                relate(*from, *further, FAMILY_REGISTER);
            }
        }
    }
    siblings(&trusted, &merged, |a, b| relate(a, b, FAMILY_REGISTER));
    let near = MJShrinkSchemes::builder()
        .with(MJShrinkScheme::MOJFamilyRegisterActRelatedNotice)
        .with(MJShrinkScheme::JISIncorporationUCSUnificationRule)
        .with(MJShrinkScheme::InferenceByReadingAndGlyph);
    siblings(&edges(near), &merged, |a, b| relate(a, b, WEAK));
    for (from, targets) in edges(MJShrinkSchemes::ALL) {
        targets.iter().for_each(|to| relate(from, *to, WEAK));
    }

    let mut code = String::from("pub(super) static RELATED: &[(char, char, u8)] = &[\n");
    for ((a, b), kinship) in &table {
        writeln!(code, "    ({a:?}, {b:?}, {kinship}),")?;
    }
    code.push_str("];\n");
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&folder).join("kanji_related.rs"), code)?;
    Ok(())
}

/// The pairs of the lines that begin with this mark.
fn pairs(forms: &str, mark: &str) -> Result<BTreeSet<(char, char)>, String> {
    let words = forms.lines().filter_map(|line| line.strip_prefix(mark)).flat_map(str::split_whitespace);
    words
        .map(|word| match word.chars().collect::<Vec<_>>()[..] {
            [a, b] if a != b => Ok((a, b)),
            _ => Err(format!("{FORMS}: {word} is no pair of two characters")),
        })
        .collect()
}

/// From each character to those that it surely is a form of.
fn trusted_edges(official: &BTreeSet<(char, char)>, apart: &BTreeSet<(char, char)>) -> Edges {
    let noticed = MJShrinkSchemes::builder()
        .with(MJShrinkScheme::MOJFamilyRegisterActRelatedNotice)
        .with(MJShrinkScheme::JISIncorporationUCSUnificationRule);
    let mut noticed = edges(noticed);
    for (from, targets) in &mut noticed {
        targets.retain(|to| !apart.contains(&(*from, *to)) && !apart.contains(&(*to, *from)));
    }
    let none = BTreeSet::new();
    let of = |from: &char| noticed.get(from).unwrap_or(&none);
    let of_one = |a: &char, b: &char| a == b || official.contains(&(*a, *b)) || of(a).contains(b);
    let related = |targets: &BTreeSet<char>| {
        let one =
            |a: &char| targets.iter().all(|b| of_one(a, b) || of_one(b, a) || !of(a).is_disjoint(of(b)));
        targets.iter().all(one)
    };
    let one = noticed.iter().filter(|(_, targets)| related(targets));
    let mut trusted: Edges = one.map(|(from, to)| (*from, to.clone())).collect();
    for (a, b) in official {
        trusted.entry(*a).or_default().insert(*b);
        trusted.entry(*b).or_default().insert(*a);
    }
    trusted
}

/// Calls `relate` with every two characters that have a target in common, other than a merged one.
fn siblings(edges: &Edges, merged: &BTreeSet<char>, mut relate: impl FnMut(char, char)) {
    let mut sources = Edges::new();
    for (from, targets) in edges {
        for to in targets.difference(merged) {
            sources.entry(*to).or_default().insert(*from);
        }
    }
    for family in sources.values() {
        for a in family {
            family.range(..*a).for_each(|b| relate(*a, *b));
        }
    }
}

/// Each character with the others it shrinks to under these schemes, compatibility ideographs folded away.
fn edges(schemes: MJShrinkSchemes) -> Edges {
    let mut edges = Edges::new();
    for from in ('\u{2E80}'..='\u{323AF}').filter(|c| c.nfkc().eq([*c])) {
        let targets: BTreeSet<char> = mj_shrink_candidates(from.to_string(), schemes)
            .filter_map(|candidate| {
                let mut folded = candidate.nfkc();
                folded.next().filter(|to| *to != from && folded.next().is_none())
            })
            .collect();
        if !targets.is_empty() {
            edges.insert(from, targets);
        }
    }
    edges
}

//! Reads the MJ shrink map out of the jntajis crate into one flat, sorted table: variant, its target, whether trusted.
//!
//! The map enumerates candidates and names a basis for each; asking it at run time costs a hundred times a look-up.
//! The data is CC BY-SA 2.1 JP; data/NOTICE.md credits it.
//!
//! The surprising thing: the map speaks of glyphs, and one code point may be several glyphs, so for everyday characters
//! it also holds what is true of a rare glyph only (師 to 帥, 書 to 晝, 玉 to 王). An edge is trusted when its basis is a
//! family-register notice, it starts outside JIS level 1, and its targets are forms of one another.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

use jntajis::codec::mj_shrink::{MJShrinkScheme, MJShrinkSchemes, mj_shrink_candidates};
use unicode_normalization::UnicodeNormalization as _;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let notices = edges(MJShrinkSchemes::builder().with(MJShrinkScheme::MOJFamilyRegisterActRelatedNotice));
    let all = edges(MJShrinkSchemes::ALL);
    let mut table = String::from("pub(super) static EDGES: &[(char, char, bool)] = &[\n");
    let none = BTreeSet::new();
    for (from, targets) in &all {
        let noticed = notices.get(from).unwrap_or(&none);
        let of_one = |a: &char, b: &char| a == b || notices.get(a).is_some_and(|n| n.contains(b));
        let related = |a: &char| noticed.iter().all(|b| of_one(a, b) || of_one(b, a));
        for to in targets {
            let trusted = noticed.contains(to) && !is_jis_level_1(*from) && related(to);
            writeln!(table, "    ({from:?}, {to:?}, {trusted}),")?;
        }
    }
    table.push_str("];\n");
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&folder).join("kanji_edges.rs"), table)?;
    Ok(())
}

/// Each character with the others it shrinks to under these schemes, compatibility ideographs folded away.
fn edges(schemes: MJShrinkSchemes) -> BTreeMap<char, BTreeSet<char>> {
    let mut edges = BTreeMap::new();
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

/// Level 1 of JIS X 0208, the 2,965 characters of daily use: rows 16 to 47.
fn is_jis_level_1(c: char) -> bool {
    let text = c.to_string();
    let (bytes, _, unmappable) = encoding_rs::SHIFT_JIS.encode(&text);
    let level_1 = 0x889F..=0x9872;
    !unmappable && matches!(*bytes, [lead, trail] if level_1.contains(&u16::from_be_bytes([lead, trail])))
}

//! Any bytes, through the decoder that `MUSUBI_FUZZ` names; `cargo xtask fuzz` builds and runs this.
//!
//! One program for all of them, because linking the nodes once for each takes minutes.

#![no_main]

mod checks;

use std::sync::LazyLock;

static HOLD: LazyLock<checks::Hold> = LazyLock::new(|| {
    let named = std::env::var("MUSUBI_FUZZ").unwrap_or_default();
    let known = checks::TARGETS.iter().find(|(name, _)| *name == named);
    known.map(|(_, hold)| *hold).expect("MUSUBI_FUZZ names a folder of corpus/")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| HOLD(data));

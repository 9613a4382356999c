//! `cargo +nightly fuzz run everything` in `crates/matching`: any bytes, through every reader and comparison.

#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::hold(data));

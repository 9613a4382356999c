//! Durations as people write them, `10s`, `1m 30s`, `24h`, for `#[serde(with = "musubi_runtime::config::duration")]` on a
//! `std::time::Duration`.
//!
//! Surprising: there are no days, because a day isn't always 24 hours; write `720h`.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use serde::{Deserialize as _, Deserializer, de};

/// Reads one.
///
/// # Errors
/// When it isn't a duration, or is below zero.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    SpanParser::new().parse_unsigned_duration(&text).map_err(|_| {
        de::Error::custom("it is no duration; write hours, minutes, seconds or ms, as 10s or 1m 30s or 24h")
    })
}

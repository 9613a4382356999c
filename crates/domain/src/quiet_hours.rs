//! Hours of the day in which nobody is asked, in the account's time zone.

use jiff::{Timestamp, civil::Time, tz::TimeZone};

use crate::{Error, error::shape};

/// A span of the local day; may pass midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    span: Option<(Time, Time)>,
    zone: TimeZone,
}

impl QuietHours {
    /// No quiet hours.
    #[must_use]
    pub const fn none() -> Self {
        Self { span: None, zone: TimeZone::UTC }
    }

    /// From `21:00-08:00` and a zone like `Asia/Tokyo`; an empty span means none.
    ///
    /// # Errors
    /// Names `quiet_hours` or `time_zone`.
    pub fn parse(span: &str, zone: &str) -> Result<Self, Error> {
        let zone = TimeZone::get(zone).map_err(|_| {
            Error::invalid(
                "time_zone",
                format!("{} is no known time zone", shape(zone)),
                "write a name of the IANA data base, for example Asia/Tokyo",
            )
        })?;
        if span.is_empty() {
            return Ok(Self { span: None, zone });
        }
        let read = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let parsed = span.split_once('-').and_then(|(from, to)| Some((read(from)?, read(to)?)));
        match parsed {
            Some((from, to)) if from != to => Ok(Self { span: Some((from, to)), zone }),
            Some(_) | None => Err(Error::invalid(
                "quiet_hours",
                format!("{} is no span of hours", shape(span)),
                "write two different times, for example 21:00-08:00, or leave it empty",
            )),
        }
    }

    /// Whether people may be asked now.
    #[must_use]
    pub fn allows(&self, now: Timestamp) -> bool {
        let Some((from, to)) = self.span else { return true };
        let local = now.to_zoned_datetime(self.zone.clone()).time();
        if from < to { !(from <= local && local < to) } else { !(from <= local || local < to) }
    }

    /// `now`, or the end of the quiet hours that it lies in.
    #[must_use]
    pub fn next_allowed(&self, now: Timestamp) -> Timestamp {
        let Some((_, to)) = self.span else { return now };
        if self.allows(now) {
            return now;
        }
        let local = now.to_zoned_datetime(self.zone.clone());
        let day = if local.time() < to { Ok(local.date()) } else { local.date().tomorrow() };
        day.and_then(|day| day.to_datetime(to).to_zoned_datetime(self.zone.clone()))
            .map_or(now, |zoned| zoned.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_end_when_they_say() {
        for (span, now, expected) in [
            ("21:00-08:00", "2026-11-23T11:59:00Z", "2026-11-23T11:59:00Z"),
            ("21:00-08:00", "2026-11-23T12:00:00Z", "2026-11-23T23:00:00Z"),
            ("21:00-08:00", "2026-11-23T22:59:00Z", "2026-11-23T23:00:00Z"),
            ("21:00-08:00", "2026-11-23T23:00:00Z", "2026-11-23T23:00:00Z"),
            ("12:00-13:00", "2026-11-23T03:30:00Z", "2026-11-23T04:00:00Z"),
            ("", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"),
        ] {
            let hours = QuietHours::parse(span, "Asia/Tokyo").unwrap();
            let now: Timestamp = now.parse().unwrap();
            assert_eq!(hours.next_allowed(now), expected.parse::<Timestamp>().unwrap(), "{span} at {now}");
            assert!(hours.allows(hours.next_allowed(now)));
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for span in ["21", "21:00", "25:00-26:00", "08:00-08:00", "a-b"] {
            assert_eq!(QuietHours::parse(span, "Asia/Tokyo").unwrap_err().field, "quiet_hours");
        }
        assert_eq!(QuietHours::parse("", "Asia/Nowhere").unwrap_err().field, "time_zone");
    }
}

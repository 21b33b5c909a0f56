//! Points in time, as numbers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// The error of a text that is not a valid point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// The text is not a date and time with an offset.
    Invalid,
    /// The time is after [`Millis::LAST`].
    TooLate,
}

impl Millis {
    /// The last whole hour that can be written as a date and time in every time zone: 9999-12-30T22:00:00Z.
    pub const LAST: Millis = Millis(253_402_207_200_000);

    /// Reads a date and time with an offset (RFC 3339, section 5.6). A time before 1970 is read as the Unix epoch.
    ///
    /// # Errors
    /// Returns an error if the text has a different form, or if the time is after [`Millis::LAST`].
    pub fn parse(text: &str) -> Result<Millis, TimeError> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-+:.TZ".contains(&byte));
        let read = |text: &str| text.parse::<jiff::Timestamp>().ok().filter(|_| is_plain);
        let Some(time) = read(text) else {
            // If the text is valid with the year 2000 in place of its own year, only the year is too late.
            let late = text.split_once('-').filter(|(year, _)| *year == "9999" || year.len() > 4);
            let is_late = late.is_some_and(|(_, rest)| read(&format!("2000-{rest}")).is_some());
            return Err(if is_late { TimeError::TooLate } else { TimeError::Invalid });
        };
        let time = Millis(u64::try_from(time.as_millisecond()).unwrap_or(0));
        if time <= Millis::LAST { Ok(time) } else { Err(TimeError::TooLate) }
    }

    /// Returns the whole seconds since the Unix epoch, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the time that is this much later, or the largest value if the result is out of range.
    #[must_use]
    pub fn after(self, time: Duration) -> Millis {
        Millis(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the time that is this much earlier, or the Unix epoch if the result would be before it.
    #[must_use]
    pub fn before(self, time: Duration) -> Millis {
        Millis(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the time at this number of seconds after the Unix epoch, or the largest value if it is out of range.
    pub fn from_seconds(seconds: u64) -> Millis {
        Millis(seconds.saturating_mul(1000))
    }
}

/// The length of a time in the form `2026-11-22T00:03:50.852Z`, in bytes.
const TEXT_LENGTH: usize = 24;

impl Millis {
    /// Returns the time in the form `2026-11-22T00:03:50.852Z` (RFC 3339), as ASCII. Returns `None` after the year 9999.
    fn to_text(self) -> Option<[u8; TEXT_LENGTH]> {
        let (days, in_day) = (self.0 / DAY, self.0 % DAY);
        let (year, month, day) = date_of_day(days)?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut write = |range: std::ops::Range<usize>, mut number: u64| {
            for digit in text[range].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        write(0..4, year);
        write(5..7, month);
        write(8..10, day);
        write(11..13, in_day / 3_600_000);
        write(14..16, in_day / 60_000 % 60);
        write(17..19, in_day / 1000 % 60);
        write(20..23, in_day % 1000);
        Some(text)
    }

    /// Appends the time in the same form as `Display`, but faster.
    pub fn push_text(self, to: &mut Vec<u8>) {
        match self.to_text() {
            Some(text) => to.extend_from_slice(&text),
            None => to.extend_from_slice(self.to_string().as_bytes()),
        }
    }
}

/// The length of a day, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Returns year, month and day of the month of a day, counted from the Unix epoch, in the Gregorian calendar. Returns
/// `None` after the year 9999.
///
/// The calendar repeats after 400 years. A year is counted from March, so that the leap day is its last day; then the
/// months have the lengths 31, 30, 31, 30 and 31 again and again, which are 153 days for five months.
fn date_of_day(days: u64) -> Option<(u64, u64, u64)> {
    const FOUR_CENTURIES: u64 = 400 * 365 + 97;
    /// The days from 0000-03-01 to 1970-01-01.
    const BEFORE_EPOCH: u64 = 719_468;
    let since = days.checked_add(BEFORE_EPOCH)?;
    let (era, in_era) = (since / FOUR_CENTURIES, since % FOUR_CENTURIES);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year <= 9999).then_some((year, month, day))
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pushed(time: Millis) -> String {
        let mut text = Vec::new();
        time.push_text(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn the_fast_form_of_each_day_is_the_form_of_the_library() {
        for day in 0..=Millis::LAST.0 / DAY {
            let time = Millis(day * DAY + day % DAY);
            assert_eq!(pushed(time), time.to_string());
        }
    }

    proptest! {
        #[test]
        fn the_fast_form_is_the_form_of_the_library(time in prop_oneof![0..=Millis::LAST.0, any::<u64>()]) {
            prop_assert_eq!(pushed(Millis(time)), Millis(time).to_string());
        }
    }

    #[test]
    fn times_have_an_offset() {
        for (text, millis) in [
            ("2027-01-01T00:00:00Z", Ok(1_798_761_600_000)),
            ("2027-01-01T00:00:00+08:00", Ok(1_798_732_800_000)),
            ("2027-01-01T00:00:00.1239Z", Ok(1_798_761_600_123)),
            ("9999-12-30T22:00:00Z", Ok(Millis::LAST.0)),
            ("9999-12-31T05:00:00+08:00", Ok(253_402_203_600_000)),
            ("1969-12-31T23:59:59Z", Ok(0)),
            ("9999-12-30T22:00:00.001Z", Err(TimeError::TooLate)),
            ("9999-12-31T23:59:59Z", Err(TimeError::TooLate)),
            ("10000-01-01T00:00:00Z", Err(TimeError::TooLate)),
            ("123456-02-29T00:00:00+01:00", Err(TimeError::TooLate)),
            ("9999-13-01T00:00:00Z", Err(TimeError::Invalid)),
            ("2027-13-01T00:00:00Z", Err(TimeError::Invalid)),
            ("2027-01-01T00:00:00", Err(TimeError::Invalid)),
            ("2027-01-01", Err(TimeError::Invalid)),
            ("2027-01-01 00:00:00Z", Err(TimeError::Invalid)),
            ("2027-01-01T00:00:00Z[UTC]", Err(TimeError::Invalid)),
            ("10000-01-01T00:00:00Z[UTC]", Err(TimeError::Invalid)),
            ("1798761600", Err(TimeError::Invalid)),
            ("", Err(TimeError::Invalid)),
        ] {
            assert_eq!(Millis::parse(text), millis.map(Millis), "{text}");
        }
        assert_eq!(Millis::LAST.to_string(), "9999-12-30T22:00:00.000Z");
    }
}

//! The formats of durations, sizes and rates.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::civil::DateTime;

use crate::model::Millis;

/// Parses a duration such as `"10m"`: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Formats a duration so [`duration`] can read it, in the largest unit without a fraction.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, length)| millis >= *length && millis.is_multiple_of(*length)) {
        Some((unit, length)) => format!("{}{unit}", millis / length),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// Parses a size such as `"64KiB"`: a whole number and `B`, `KiB` or `MiB`. The result is in bytes.
pub(super) fn size(text: &str) -> Option<usize> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.checked_mul(bytes).and_then(|size| usize::try_from(size).ok())
}

/// Formats a size so [`size`] can read it, in the largest unit without a fraction.
pub(super) fn show_size(bytes: usize) -> String {
    match bytes {
        0 => "0B".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

/// Parses a rate such as `"20/s"`: a whole number per second, at least 1.
pub(super) fn rate(text: &str) -> Option<NonZeroU32> {
    let number = text.strip_suffix("/s")?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| plain)
}

/// Returns the point in time of a local date and time and an offset (`Z` or `+08:00`). Returns `None` for times before
/// 1970.
pub(super) fn time(local: &str, offset: &str) -> Option<Millis> {
    let since = local.parse::<DateTime>().ok()?.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let millis = since.as_millis() - i128::from(offset_minutes(offset)?) * 60_000;
    u64::try_from(millis).ok().map(Millis)
}

fn offset_minutes(offset: &str) -> Option<i32> {
    if offset == "Z" {
        return Some(0);
    }
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let minutes = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?;
    Some(if offset.starts_with('-') { -minutes } else { minutes })
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("30s", 30_000), ("10m", 600_000), ("24h", 86_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "10", "m", "-1s", "1.5h", "10 m", "1m30s", "10M", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_count_in_1024s() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576)] {
            assert_eq!(size(text), Some(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for text in ["64", "64KB", "64kib", "KiB", "1GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn times_count_from_1970() {
        for (local, offset, millis) in [
            ("1970-01-01T00:00:00", "Z", Some(0)),
            ("2027-01-01T00:00:00.1239", "+08:00", Some(1_798_732_800_123)),
            ("2026-12-31T08:00", "-08:00", Some(1_798_732_800_000)),
            ("9999-12-31T23:59:59", "Z", Some(253_402_300_799_000)),
            ("1970-01-01T00:00:00", "+00:01", None),
            ("1969-12-31T23:59:59", "Z", None),
        ] {
            assert_eq!(time(local, offset), millis.map(Millis), "{local}{offset}");
        }
    }

    #[test]
    fn rates_are_by_the_second() {
        assert_eq!(rate("20/s").map(NonZeroU32::get), Some(20));
        for text in ["20", "0/s", "+20/s", "20/m", "/s", "1.5/s"] {
            assert_eq!(rate(text), None, "{text}");
        }
    }

    #[test]
    fn shows_durations_as_one_would_write_them() {
        for text in ["0s", "100ms", "90s", "5m", "24h", "365d"] {
            let shown = show_duration(duration(text).unwrap_or_default());
            assert_eq!(duration(&shown), duration(text), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(300)), "5m");
    }
}

//! The period in which a token is valid (RFC 7519, sections 4.1.4 to 4.1.6; RFC 7662, section 2.2).

use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::AuthnError;
use crate::model::Millis;

/// The first second after the year 9999, in seconds since 1970. A greater number is not in seconds: the milliseconds of
/// all dates since 1978 are greater.
const MAX_SECONDS: u64 = 253_402_300_800;

/// The dates in a token, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dates {
    /// The claim `exp`.
    pub(super) expiry: Option<u64>,
    /// The claim `nbf`.
    pub(super) not_before: Option<u64>,
    /// The claim `iat`.
    pub(super) issued: Option<u64>,
}

/// The current time, the leeway, and the maximum age of a token, all in milliseconds.
pub(super) struct TokenClock {
    now: u64,
    leeway: u64,
    max_age: Option<u64>,
}

impl Dates {
    /// Reads the dates. A date that is null counts as absent.
    ///
    /// # Errors
    /// Returns an error if a date is not a plausible number of seconds since 1970.
    pub(super) fn read(claims: &Map<String, Value>) -> Result<Dates, AuthnError> {
        Dates::read_with(claims, Value::as_f64)
    }

    /// Reads the dates of an answer about a token. Some servers write them in quotes.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`read`](Self::read).
    pub(super) fn read_answer(claims: &Map<String, Value>) -> Result<Dates, AuthnError> {
        Dates::read_with(claims, |value| value.as_f64().or_else(|| parse_decimal(value.as_str()?)))
    }

    fn read_with(claims: &Map<String, Value>, seconds: fn(&Value) -> Option<f64>) -> Result<Dates, AuthnError> {
        let given = |name| claims.get(name).filter(|value| !value.is_null());
        let date = |name| given(name).map(|value| parse_date(name, value, seconds)).transpose();
        Ok(Dates { expiry: date("exp")?, not_before: date("nbf")?, issued: date("iat")? })
    }

    /// Returns the time at which a token with these dates expires or becomes too old, if there is such a time.
    pub(super) fn expires_at(&self, max_age: Option<Duration>) -> Option<u64> {
        let oldest = self.issued.zip(max_age).map(|(issued, age)| issued.saturating_add(millis(age)));
        self.expiry.into_iter().chain(oldest).min()
    }
}

impl TokenClock {
    pub(super) fn new(now: Millis, leeway_seconds: u64, max_age: Option<Duration>) -> TokenClock {
        TokenClock { now: now.0, leeway: leeway_seconds.saturating_mul(1000), max_age: max_age.map(millis) }
    }

    /// Checks that a token with these dates is valid now. Returns the period in which the result is the same, in
    /// milliseconds since 1970.
    pub(super) fn check(&self, dates: &Dates) -> Result<Range<u64>, AuthnError> {
        let expiry = self.check_expiry(dates.expiry)?;
        let valid = dates.not_before.unwrap_or(0);
        if let Some(wait) = self.seconds_until(valid) {
            return Err(AuthnError::invalid(format!("the token is not valid yet (nbf): in {wait} s")));
        }
        let issued = dates.issued.unwrap_or(0);
        if let Some(wait) = self.seconds_until(issued) {
            let text = format!("the token was issued {wait} s in the future (iat): check the issuer's clock");
            return Err(AuthnError::invalid(text));
        }
        let end = expiry.min(self.check_age(dates.issued)?);
        Ok(valid.max(issued).saturating_sub(self.leeway)..end)
    }

    /// Returns the time at which the token expires.
    fn check_expiry(&self, expiry: Option<u64>) -> Result<u64, AuthnError> {
        let Some(expiry) = expiry else { return Ok(u64::MAX) };
        let end = expiry.saturating_add(self.leeway);
        if self.now < end {
            return Ok(end);
        }
        let ago = (self.now - expiry) / 1000;
        Err(AuthnError::invalid(format!("the token expired {ago} s ago")))
    }

    /// Returns the time at which the token becomes too old.
    fn check_age(&self, issued: Option<u64>) -> Result<u64, AuthnError> {
        let Some(max_age) = self.max_age else { return Ok(u64::MAX) };
        let issued = issued.ok_or_else(|| {
            AuthnError::invalid(
                "the token must say when it was issued (iat), because its age is limited (max_token_age)",
            )
        })?;
        let end = issued.saturating_add(max_age).saturating_add(self.leeway);
        if self.now < end {
            return Ok(end);
        }
        let (ago, most) = ((self.now - issued) / 1000, max_age / 1000);
        Err(AuthnError::invalid(format!(
            "the token was issued {ago} s ago (iat), but the limit is {most} s (max_token_age)"
        )))
    }

    /// Returns the number of seconds, rounded up, until this date, if the date is further in the future than the
    /// leeway.
    fn seconds_until(&self, date: u64) -> Option<u64> {
        let ahead = date.saturating_sub(self.now);
        (ahead > self.leeway).then(|| ahead.div_ceil(1000))
    }
}

/// Converts a `NumericDate` (RFC 7519, section 2) to milliseconds. It is a JSON number of seconds, not negative,
/// possibly with a fraction.
fn parse_date(name: &str, value: &Value, seconds: fn(&Value) -> Option<f64>) -> Result<u64, AuthnError> {
    let whole = value.as_u64().map(|seconds| seconds.saturating_mul(1000));
    let date = whole.or_else(|| Duration::try_from_secs_f64(seconds(value)?).ok().map(millis));
    match date {
        Some(date) if date < MAX_SECONDS * 1000 => Ok(date),
        Some(_) => Err(AuthnError::invalid(format!(
            "the token's `{name}` is later than the year 9999: it must be in seconds since 1970, not in milliseconds"
        ))),
        None => Err(AuthnError::invalid(format!("the token's `{name}` must be a number of seconds since 1970"))),
    }
}

/// Parses digits with an optional fraction. Other forms of numbers are not accepted.
fn parse_decimal(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_decimal)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

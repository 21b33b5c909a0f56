//! What a token says once its signature holds: when it counts, for whom it is, who the caller is and with what roles.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::authn::refusal::{Refusal, quoted};
use crate::model::{Millis, check_identifier, claim};

type Claims = Map<String, Value>;

/// The longest subject, in characters, as for any identifier.
const LONGEST_SUBJECT: usize = 255;

/// Now, give or take the leeway. All in milliseconds since the epoch.
pub(super) struct Clock {
    now: u64,
    leeway: u64,
}

impl Clock {
    pub(super) fn new(now: Millis, leeway_seconds: u64) -> Clock {
        Clock { now: now.0, leeway: leeway_seconds.saturating_mul(1000) }
    }

    /// Checks `exp`, which must be there, and `nbf` and `iat`, which may. Tells when, in milliseconds, this check comes to the same.
    pub(super) fn check(&self, claims: &Claims) -> Result<Range<u64>, Refusal> {
        let expiry = date(claims, "exp")?.ok_or_else(|| Refusal::new("the token must have an expiry (exp)"))?;
        let end = expiry.saturating_add(self.leeway);
        if self.now >= end {
            let ago = (self.now - expiry) / 1000;
            return Err(Refusal::new(format!("the token expired {ago} s ago")));
        }
        let valid = date(claims, "nbf")?.unwrap_or(0);
        if let Some(wait) = self.wait(valid) {
            return Err(Refusal::new(format!("the token is not valid yet (nbf): in {wait} s")));
        }
        let issued = date(claims, "iat")?.unwrap_or(0);
        if let Some(wait) = self.wait(issued) {
            let text = format!("the token was issued {wait} s in the future (iat): check the issuer's clock");
            return Err(Refusal::new(text));
        }
        Ok(valid.max(issued).saturating_sub(self.leeway)..end)
    }

    /// For how many seconds more, rounded up, this date lies in the future, if it does so beyond the leeway.
    fn wait(&self, date: u64) -> Option<u64> {
        let ahead = date.saturating_sub(self.now);
        (ahead > self.leeway).then(|| ahead.div_ceil(1000))
    }
}

/// A `NumericDate` (RFC 7519, section 2) in milliseconds: a JSON number of seconds, not negative, perhaps with a fraction.
fn date(claims: &Claims, name: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let whole = value.as_u64().map(|seconds| seconds.saturating_mul(1000));
    let millis = whole.or_else(|| {
        let seconds = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
        u64::try_from(seconds.as_millis()).ok()
    });
    let refusal = || Refusal::new(format!("the token's `{name}` must be a number of seconds since 1970"));
    millis.map(Some).ok_or_else(refusal)
}

/// Checks that `aud`, a string or a list of strings, holds one of these.
pub(in crate::authn) fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), Refusal> {
    let malformed = || Refusal::new("the token must name its audience (aud), as a string or a list of strings");
    let named: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(malformed)?,
        _ => return Err(malformed()),
    };
    if named.iter().any(|name| accepted.iter().any(|accepted| accepted == name)) {
        return Ok(());
    }
    Err(Refusal::new("the token is for another audience (aud)").detail(quoted(&named.join(" "))))
}

/// Who the caller is: the claim, behind the prefix.
pub(super) fn subject(claims: &Claims, name: &str, prefix: &str) -> Result<String, Refusal> {
    let Some(bare) = claim(claims, name).and_then(Value::as_str) else {
        let text = "the token must name its subject, as a string";
        return Err(Refusal::new(text).detail(format!("it is read from the claim `{name}`")));
    };
    let whole = format!("{prefix}{bare}");
    check_subject(bare, &whole)?;
    Ok(whole)
}

/// Checks a subject, as the token has it and behind the prefix.
pub(super) fn check_subject(bare: &str, whole: &str) -> Result<(), Refusal> {
    for subject in [bare, whole] {
        let refuse = |flaw| Refusal::new(format!("the token's subject {flaw}"));
        check_identifier(subject, LONGEST_SUBJECT).map_err(refuse)?;
    }
    if bare == "*" {
        return Err(Refusal::new("the token's subject must not be `*`"));
    }
    Ok(())
}

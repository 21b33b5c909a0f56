//! What a token says once its signature holds: when it counts, for whom it is, who the caller is and with what roles.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Jwt;
use crate::authn::refusal::{Refusal, quoted};
use crate::model::{Millis, Pattern, Role, check_identifier, claim};

type Claims = Map<String, Value>;

/// The longest subject, in characters, as for any identifier.
const LONGEST_SUBJECT: usize = 255;

/// In how many scopes a token may give roles.
const MOST_SCOPES: usize = 64;

/// Now, give or take the leeway. All in milliseconds since the epoch.
pub(super) struct Clock {
    now: u64,
    leeway: u64,
}

impl Clock {
    pub(super) fn new(now: Millis, leeway_seconds: u64) -> Clock {
        Clock { now: now.0, leeway: leeway_seconds.saturating_mul(1000) }
    }

    /// Checks `exp`, which must be there, and `nbf` and `iat`, which may.
    pub(super) fn check(&self, claims: &Claims) -> Result<(), Refusal> {
        let expiry = date(claims, "exp")?.ok_or_else(|| Refusal::new("the token must have an expiry (exp)"))?;
        if self.now >= expiry.saturating_add(self.leeway) {
            let ago = (self.now - expiry) / 1000;
            return Err(Refusal::new(format!("the token expired {ago} s ago")));
        }
        if let Some(wait) = self.wait(claims, "nbf")? {
            return Err(Refusal::new(format!("the token is not valid yet (nbf): in {wait} s")));
        }
        if let Some(wait) = self.wait(claims, "iat")? {
            let text = format!("the token was issued {wait} s in the future (iat): check the issuer's clock");
            return Err(Refusal::new(text));
        }
        Ok(())
    }

    /// For how many seconds more, rounded up, this date lies in the future, if it does so beyond the leeway.
    fn wait(&self, claims: &Claims, name: &'static str) -> Result<Option<u64>, Refusal> {
        let Some(date) = date(claims, name)? else {
            return Ok(None);
        };
        let ahead = date.saturating_sub(self.now);
        Ok((ahead > self.leeway).then(|| ahead.div_ceil(1000)))
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
pub(super) fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), Refusal> {
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

impl Jwt {
    /// The roles that the token gives: those that the policy lists and that are no stronger than these tokens may give. Others, and
    /// scopes that are no patterns, count for nothing. Each scope is there once.
    pub(super) fn bindings(&self, claims: &Claims) -> Result<Vec<(Pattern, Role)>, Refusal> {
        let Some(max) = self.max_role else {
            return Ok(Vec::new());
        };
        let role = |word: &str| self.ladder.role(word).filter(|role| *role <= max);
        let everywhere = words(claims, self.roles.as_deref())?.into_iter().filter_map(role);
        let scoped = scopes(claims, self.bindings.as_deref())?
            .filter_map(|(scope, word)| Some((Pattern::parse(scope).ok()?, role(word.as_str()?)?)));
        strongest(everywhere.map(|role| (Pattern::Everything, role)).chain(scoped))
    }
}

/// The strongest role of each scope. There must be few: deciding on a pattern looks at every scope from every other.
fn strongest(bindings: impl Iterator<Item = (Pattern, Role)>) -> Result<Vec<(Pattern, Role)>, Refusal> {
    let mut roles: BTreeMap<Pattern, Role> = BTreeMap::new();
    for (scope, role) in bindings {
        let known = roles.entry(scope.home().into_owned()).or_insert(role);
        *known = role.max(*known);
    }
    if roles.len() > MOST_SCOPES {
        return Err(Refusal::new(format!("the token must not give roles in more than {MOST_SCOPES} different scopes")));
    }
    Ok(roles.into_iter().collect())
}

/// The words in a list, or in one string with white space between them.
fn words<'a>(claims: &'a Claims, name: Option<&str>) -> Result<Vec<&'a str>, Refusal> {
    match name.and_then(|name| claim(claims, name)) {
        None => Ok(Vec::new()),
        Some(Value::String(line)) => Ok(line.split_whitespace().collect()),
        Some(Value::Array(list)) => Ok(list.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err(mistyped("roles", "a list of strings or words in one string", name)),
    }
}

/// The members of an object of scope and word.
fn scopes<'a>(
    claims: &'a Claims,
    name: Option<&str>,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, Refusal> {
    match name.and_then(|name| claim(claims, name)) {
        None => Ok(None.into_iter().flatten()),
        Some(Value::Object(members)) => Ok(Some(members).into_iter().flatten()),
        Some(_) => Err(mistyped("bindings", "an object of pattern and role", name)),
    }
}

fn mistyped(what: &str, wanted: &str, claim: Option<&str>) -> Refusal {
    let detail = format!("they are read from the claim `{}`", claim.unwrap_or_default());
    Refusal::new(format!("the token's {what} must be {wanted}")).detail(detail)
}

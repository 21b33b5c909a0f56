//! Who is calling: turns the credential in a request's headers into a [`Caller`], or a [`Refusal`] that says what was wrong.
//!
//! A request carries at most one explicit credential: one `Authorization` header or one API key. Two are refused, as they could
//! name two callers. Ambient credentials, which others than the request's author add to it, count only where no explicit one is
//! there: what a proxy forwards, and what the connection tells. They don't count for what another site's page had the browser send.
//!
//! A credential that is there and bad is refused, never passed over in favour of something else.

mod algorithm;
mod api_key;
mod endpoint;
mod forwarded;
mod introspection;
mod jwt;
mod lookup;
mod presented;
mod process;
mod proxies;
mod refusal;
mod renewal;
mod roles;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

pub use algorithm::{ALGORITHMS, Algorithm, algorithm, is_symmetric};
pub use api_key::ApiKey;
pub use endpoint::{Bearer, Endpoint, is_safe};
pub use forwarded::Forwarded;
pub use introspection::{Answer, Introspection, Protocol, Question};
pub use jwt::{Jwt, KeySet, KeySource, Keys};
pub use lookup::{Found, Lookup, Unidentified};
pub use presented::{Ids, Peer, Presented, Socket};
pub use process::Process;
pub use proxies::{Proxies, Proxy};
pub use refusal::Refusal;

use crate::crypto;
use crate::model::{Caller, CallerKind, Millis, Pattern, Role};
use jwt::Token;
use refusal::quoted;

const NOT_FOR_THIS_APP: &str = "these callers are not accepted for this app";

/// All authenticators of a configuration, in its order. With none, everyone is refused.
#[derive(Debug)]
pub struct Authenticators {
    all: Vec<Authenticator>,
    /// The headers that hold API keys, each once.
    key_headers: Vec<HeaderName>,
}

/// One way to find out who is calling.
#[derive(Debug)]
pub enum Authenticator {
    /// A signed token.
    Jwt(Jwt),
    /// A key in a header.
    ApiKey(ApiKey),
    /// A proxy's word.
    Forwarded(Forwarded),
    /// Another server's word.
    Introspection(Arc<Introspection>),
    /// A process on this machine.
    Process(Process),
}

/// What all authenticators have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What its callers are.
    pub kind: CallerKind,
    /// The apps that its callers may use; `None` is all.
    pub apps: Option<Vec<String>>,
}

impl Authenticators {
    /// Takes them in the order of the configuration.
    pub fn new(all: Vec<Authenticator>) -> Authenticators {
        let mut key_headers = Vec::new();
        for authenticator in &all {
            if let Authenticator::ApiKey(ApiKey { header, .. }) = authenticator
                && !key_headers.contains(header)
            {
                key_headers.push(header.clone());
            }
        }
        Authenticators { all, key_headers }
    }

    /// Finds out who sent a request to this app.
    ///
    /// # Errors
    /// A refusal if there is no credential, more than one, or one that doesn't hold; or what must be looked up first.
    pub fn identify(&self, presented: &Presented<'_>, app: &str, now: Millis) -> Result<Caller, Unidentified> {
        self.attempt(presented, app, now, false)
    }

    /// Finds out who sent a request, now that what [`identify`](Self::identify) wanted to know has been looked up.
    ///
    /// # Errors
    /// A refusal, as there.
    pub fn identify_with(
        &self,
        found: Found,
        presented: &Presented<'_>,
        app: &str,
        now: Millis,
    ) -> Result<Caller, Refusal> {
        match found {
            Found::Keys => self.attempt(presented, app, now, true).map_err(Unidentified::into_refusal),
            Found::Caller(result) => self.own(result?),
        }
    }

    /// `was_tried` if newer keys were looked up already.
    fn attempt(
        &self,
        presented: &Presented<'_>,
        app: &str,
        now: Millis,
        was_tried: bool,
    ) -> Result<Caller, Unidentified> {
        forwarded::check(&self.forwarded(), presented)?;
        match self.explicit(presented.headers)? {
            Some((header, value)) if self.key_headers.contains(header) => Ok(self.by_key(header, value, app)?),
            Some((header, value)) => match self.asker(header, value, presented.headers, app)? {
                Some(introspection) => Err(introspection.ask_explicit(header, presented.headers)),
                None => self.by_token(value, app, now, was_tried),
            },
            None => self.ambient(presented, app).unwrap_or_else(|| Err(self.nothing(app).into())),
        }
    }

    /// Whether some credential that this authenticator accepts could be this subject's.
    ///
    /// # Errors
    /// Why none could.
    pub fn check_subject(&self, authenticator: &Authenticator, subject: &str) -> Result<(), Refusal> {
        match authenticator {
            Authenticator::Jwt(jwt) => {
                jwt.check_subject(subject)?;
                self.check_own(jwt.common.kind, &jwt.subject_prefix, subject)
            }
            Authenticator::ApiKey(api_key) if api_key.has(subject) => Ok(()),
            Authenticator::ApiKey(_) => Err(Refusal::new("it has no API key of this id")),
            Authenticator::Forwarded(forwarded) => {
                forwarded.check_subject(subject)?;
                self.check_own(forwarded.common.kind, &forwarded.subject_prefix, subject)
            }
            Authenticator::Introspection(introspection) => {
                introspection.check_subject(subject)?;
                self.check_own(introspection.common.kind, &introspection.subject_prefix, subject)
            }
            Authenticator::Process(process) if process.may_be(subject) => Ok(()),
            Authenticator::Process(_) => Err(Refusal::new("its processes have another subject")),
        }
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Authenticator] {
        &self.all
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|authenticator| &*authenticator.common().name)
    }

    /// The one explicit credential of the request, if it carries any.
    fn explicit<'a>(&'a self, headers: &'a HeaderMap) -> Result<Option<(&'a HeaderName, &'a HeaderValue)>, Refusal> {
        let mut names: Vec<_> = std::iter::once(&AUTHORIZATION).chain(&self.key_headers).collect();
        for name in self.introspections().filter_map(|introspection| introspection.explicit(headers)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut present =
            names.into_iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
        match (present.next(), present.next()) {
            (only, None) => Ok(only),
            (None, Some(_)) => Ok(None),
            (Some((one, _)), Some((other, _))) if one == other => {
                Err(Refusal::new(format!("the header `{one}` is there more than once")))
            }
            (Some((one, _)), Some((other, _))) => {
                Err(Refusal::new(format!("there are two credentials, `{one}` and `{other}`: send one")))
            }
        }
    }

    /// The authenticator that asks another server about the credential in this header, if one does. A token that names a known
    /// issuer is that issuer's, whoever else takes tokens.
    fn asker(
        &self,
        header: &HeaderName,
        value: &HeaderValue,
        headers: &HeaderMap,
        app: &str,
    ) -> Result<Option<&Arc<Introspection>>, Refusal> {
        let mut asking = self.introspections().filter(|one| one.explicit(headers) == Some(header)).peekable();
        let Some(&first) = asking.peek() else { return Ok(None) };
        if header == AUTHORIZATION && self.issuer_of(bearer(value)?).is_some() {
            return Ok(None);
        }
        match asking.find(|one| one.common.serves(app)) {
            None => Err(Refusal::new(NOT_FOR_THIS_APP).by(&first.common.name)),
            serving => Ok(serving),
        }
    }

    /// What the first authenticator to find an ambient credential makes of it, if any does.
    fn ambient(&self, presented: &Presented<'_>, app: &str) -> Option<Result<Caller, Unidentified>> {
        let mut serving = self.all.iter().filter(|authenticator| authenticator.common().serves(app));
        serving.find_map(|authenticator| {
            let result = match authenticator {
                Authenticator::Forwarded(forwarded) => {
                    forwarded.identify(presented)?.and_then(|caller| self.own(caller)).map_err(Unidentified::Refused)
                }
                Authenticator::Process(process) if !self.is_forwarded(presented.headers) => {
                    Ok(process.identify(presented.peer)?)
                }
                Authenticator::Introspection(introspection) => Err(introspection.ask_ambient(presented.headers)?),
                _ => return None,
            };
            let common = authenticator.common();
            let admitted = match result {
                Ok(_) | Err(Unidentified::Unknown(_)) if presented.cross_site => Err(Refusal::cross_site().into()),
                Ok(caller) => common.admit(caller, app).map_err(Unidentified::Refused),
                unidentified => unidentified,
            };
            Some(admitted.map_err(|unidentified| unidentified.by(&common.name)))
        })
    }

    /// Whether a proxy says that it forwards this request for someone. What the connection tells is the proxy's then.
    fn is_forwarded(&self, headers: &HeaderMap) -> bool {
        self.forwarded().flat_map(Forwarded::headers).any(|header| headers.contains_key(header))
    }

    fn by_token(&self, value: &HeaderValue, app: &str, now: Millis, was_tried: bool) -> Result<Caller, Unidentified> {
        if self.jwts().next().is_none() {
            return Err(Refusal::new("an `authorization` header is not accepted here").into());
        }
        let token = Token::parse(bearer(value)?)?;
        let issuer = token.issuer()?;
        let Some(jwt) = self.jwts().find(|jwt| jwt.issuer == issuer) else {
            return Err(Refusal::new("the token's issuer (iss) is not known here").detail(quoted(issuer)).into());
        };
        let name = &jwt.common.name;
        let caller = jwt.identify(token, now, was_tried).map_err(|unidentified| unidentified.by(name))?;
        let admitted = self.own(caller).and_then(|caller| jwt.common.admit(caller, app));
        admitted.map_err(|refusal| refusal.by(name).into())
    }

    /// The authenticator of the issuer that the token names.
    fn issuer_of(&self, token: &str) -> Option<&Jwt> {
        let token = Token::parse(token).ok()?;
        self.jwts().find(|jwt| token.issuer().is_ok_and(|issuer| issuer == jwt.issuer))
    }

    /// The caller, if its subject is no other's.
    fn own(&self, caller: Caller) -> Result<Caller, Refusal> {
        let vouching = self.all.iter().find(|one| one.common().name == caller.authenticator);
        let prefix = vouching.map_or("", Authenticator::subject_prefix);
        let checked = self.check_own(caller.kind, prefix, &caller.subject);
        checked.map_err(|refusal| refusal.by(&caller.authenticator))?;
        Ok(caller)
    }

    /// Refuses a subject that is another's: two different credentials must not be one caller.
    fn check_own(&self, kind: CallerKind, prefix: &str, subject: &str) -> Result<(), Refusal> {
        if self.is_anothers(kind, prefix, subject) {
            return Err(Refusal::new("the caller's subject starts with what marks another issuer's subjects"));
        }
        let mut api_keys = self.api_keys().filter(|api_key| api_key.common.kind == kind);
        if api_keys.any(|api_key| api_key.has(subject)) {
            return Err(Refusal::new("the caller's subject is the id of an API key"));
        }
        Ok(())
    }

    /// Whether the subject belongs to another issuer, proxy or server: to one whose prefix fits it, too, and is longer. Without this,
    /// whoever signs up with the first issuer as `partner.alice` would be the alice of the one whose prefix is `partner.`.
    fn is_anothers(&self, kind: CallerKind, prefix: &str, subject: &str) -> bool {
        let mut others = self.all.iter().filter(|one| one.common().kind == kind).map(Authenticator::subject_prefix);
        others.any(|other| other.len() > prefix.len() && subject.starts_with(other))
    }

    fn by_key(&self, header: &HeaderName, value: &HeaderValue, app: &str) -> Result<Caller, Refusal> {
        let sha256 = crypto::sha256(value.as_bytes());
        let candidates = self.api_keys().filter(|api_key| api_key.header == header);
        let found = candidates.filter_map(|api_key| Some((api_key, api_key.id(&sha256)?)));
        // Not `next`: all keys are compared, whichever matches.
        let Some((api_key, id)) = found.fold(None, |first, found| first.or(Some(found))) else {
            return Err(Refusal::new(format!("the API key in `{header}` is not known")));
        };
        let caller = api_key.common.caller(id.to_owned(), Map::new(), Vec::new());
        api_key.common.admit(caller, app).map_err(|refusal| refusal.by(&api_key.common.name))
    }

    fn jwts(&self) -> impl Iterator<Item = &Jwt> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Jwt(jwt) => Some(jwt),
            _ => None,
        })
    }

    fn api_keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::ApiKey(api_key) => Some(api_key),
            _ => None,
        })
    }

    fn forwarded(&self) -> impl Iterator<Item = &Forwarded> + Clone {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Forwarded(forwarded) => Some(forwarded),
            _ => None,
        })
    }

    /// The refusal of a request without a credential: says which one would do.
    fn nothing(&self, app: &str) -> Refusal {
        let mut accepted: Vec<String> = Vec::new();
        for authenticator in self.all.iter().filter(|authenticator| authenticator.common().serves(app)) {
            let word = match authenticator {
                Authenticator::Jwt(_) => "`authorization: Bearer <token>`".to_owned(),
                Authenticator::ApiKey(api_key) => format!("an API key in `{}`", api_key.header),
                Authenticator::Forwarded(_) => "a request through the proxy in front".to_owned(),
                Authenticator::Introspection(introspection) => introspection.wanted(),
                Authenticator::Process(_) => "a request through the Unix socket, as one of its callers".to_owned(),
            };
            if !accepted.contains(&word) {
                accepted.push(word);
            }
        }
        match accepted.as_slice() {
            [] => Refusal::new("no callers are accepted for this app: no authenticator is configured for it"),
            words => Refusal::new(format!("there is no credential: send {}", words.join(" or "))),
        }
    }
}

impl Authenticator {
    /// What all authenticators have.
    pub fn common(&self) -> &Common {
        match self {
            Authenticator::Jwt(jwt) => &jwt.common,
            Authenticator::ApiKey(api_key) => &api_key.common,
            Authenticator::Forwarded(forwarded) => &forwarded.common,
            Authenticator::Introspection(introspection) => &introspection.common,
            Authenticator::Process(process) => &process.common,
        }
    }

    /// What it puts before its callers' subjects.
    fn subject_prefix(&self) -> &str {
        match self {
            Authenticator::Jwt(jwt) => &jwt.subject_prefix,
            Authenticator::Forwarded(forwarded) => &forwarded.subject_prefix,
            Authenticator::Introspection(introspection) => &introspection.subject_prefix,
            Authenticator::ApiKey(_) | Authenticator::Process(_) => "",
        }
    }
}

impl Common {
    /// Whether its callers may use this app.
    pub fn serves(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    fn caller(&self, subject: String, claims: Map<String, Value>, bindings: Vec<(Pattern, Role)>) -> Caller {
        Caller { kind: self.kind, subject, authenticator: self.name.clone(), claims, bindings }
    }

    /// The last word on every caller, whatever the credential was.
    fn admit(&self, caller: Caller, app: &str) -> Result<Caller, Refusal> {
        if caller.subject == "*" {
            return Err(Refusal::new("a caller's subject must not be `*`"));
        }
        if !self.serves(app) {
            return Err(Refusal::new(NOT_FOR_THIS_APP));
        }
        Ok(caller)
    }
}

/// The token in `Bearer <token>` (RFC 6750, section 2.1). The scheme's case doesn't matter (RFC 9110, section 11.1).
fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    let text = value.to_str().map_err(|_| Refusal::new("the `authorization` header holds more than ASCII"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start_matches(' ')),
        _ => Err(Refusal::new("the `authorization` header must be `Bearer <token>`")),
    }
}

//! Selects the credential of a request and checks it.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Map;

use super::error::quoted;
use super::jwt::{LONGEST, UnverifiedToken, VerifiedToken};
use super::{
    Authenticator, Authenticators, AuthnError, ClientCertificate, Common, ConnectionPeer, IdentifyError, Introspection,
    Jwt, Mtls, NOT_FOR_THIS_APP, RequestCredentials, TokenCaller, forwarded,
};
use crate::crypto;
use crate::model::{Caller, Millis};

const STALE: &str = "the client certificate is no longer valid: it has expired, or its authority is no longer trusted";

impl Authenticators {
    /// Identifies the sender of the request by its only credential. `was_tried` is true if newer keys were already
    /// looked up.
    pub(super) fn attempt(
        &self,
        presented: &RequestCredentials<'_>,
        app: Option<&str>,
        now: Millis,
        was_tried: bool,
    ) -> Result<Arc<Caller>, IdentifyError> {
        forwarded::check(&self.forwarded(), presented)?;
        match self.explicit(presented.headers)? {
            Some((header, value)) if self.key_headers.contains(header) => Ok(self.by_key(header, value, app)?),
            Some((header, value)) => match self.asker(header, value, presented.headers, app)? {
                Some(introspection) => Err(introspection.ask_explicit(header, presented.headers)),
                None => self.by_token(value, presented, app, now, was_tried),
            },
            None => self.ambient(presented, app).unwrap_or_else(|| Err(self.nothing(presented.peer, app).into())),
        }
    }

    /// Returns the only explicit credential of the request, if there is one.
    fn explicit<'a>(&'a self, headers: &'a HeaderMap) -> Result<Option<(&'a HeaderName, &'a HeaderValue)>, AuthnError> {
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
                Err(AuthnError::new(format!("the header `{one}` is there more than once")))
            }
            (Some((one, _)), Some((other, _))) => {
                Err(AuthnError::new(format!("there are two credentials, `{one}` and `{other}`: send one")))
            }
        }
    }

    /// Returns the authenticator that asks another server about the credential in this header, if there is one. If the
    /// token names a known issuer, the authenticator of that issuer checks the token instead.
    fn asker(
        &self,
        header: &HeaderName,
        value: &HeaderValue,
        headers: &HeaderMap,
        app: Option<&str>,
    ) -> Result<Option<&Arc<Introspection>>, AuthnError> {
        let mut asking = self.introspections().filter(|one| one.explicit(headers) == Some(header)).peekable();
        let Some(&first) = asking.peek() else { return Ok(None) };
        if header == AUTHORIZATION && self.issuer_of(bearer(value)?).is_some() {
            return Ok(None);
        }
        match asking.find(|one| one.common.serves_if(app)) {
            None => Err(AuthnError::new(NOT_FOR_THIS_APP).by(&first.common.name)),
            serving => Ok(serving),
        }
    }

    /// Returns the result of the first authenticator that finds an ambient credential, if there is one.
    fn ambient(
        &self,
        presented: &RequestCredentials<'_>,
        app: Option<&str>,
    ) -> Option<Result<Arc<Caller>, IdentifyError>> {
        let mut serving = self.all.iter().filter(|authenticator| authenticator.common().serves_if(app));
        let by_proxy = self.is_proxy(presented.peer);
        serving.find_map(|authenticator| {
            let result = match authenticator {
                Authenticator::Forwarded(forwarded) => {
                    forwarded.identify(presented)?.and_then(|caller| self.own(caller)).map_err(IdentifyError::Refused)
                }
                Authenticator::Mtls(mtls) if !by_proxy => {
                    self.by_certificate(mtls, presented.certificate)?.map_err(IdentifyError::Refused)
                }
                Authenticator::Process(process) if !by_proxy => Ok(process.identify(presented.peer)?),
                Authenticator::Introspection(introspection) => Err(introspection.ask_ambient(presented.headers)?),
                Authenticator::Jwt(_)
                | Authenticator::ApiKey(_)
                | Authenticator::Mtls(_)
                | Authenticator::Process(_) => return None,
            };
            let common = authenticator.common();
            let admitted = match (result, presented.cross_site) {
                (Ok(_) | Err(IdentifyError::Unknown(_)), Some(reason)) => Err(AuthnError::cross_site(reason).into()),
                (Ok(caller), None) => common.admit(caller, app).map_err(IdentifyError::Refused),
                (unidentified, _) => unidentified,
            };
            Some(admitted.map_err(|unidentified| unidentified.by(&common.name)))
        })
    }

    /// Returns the caller that a client certificate names. Returns `None` if there is no certificate, or if another
    /// authenticator lists the name in it.
    fn by_certificate(&self, mtls: &Mtls, shown: ClientCertificate<'_>) -> Option<Result<Arc<Caller>, AuthnError>> {
        let names = match shown {
            ClientCertificate::Nothing => return None,
            ClientCertificate::Valid(certificate) => &certificate.names,
            ClientCertificate::Stale => return Some(Err(AuthnError::new(STALE))),
        };
        let caller = mtls.identify(names);
        if caller.is_none() && self.mtls().any(|other| other.identify(names).is_some()) {
            return None;
        }
        Some(caller.unwrap_or_else(|| Err(mtls.stranger(names))))
    }

    /// Returns whether an authenticator trusts this peer as a proxy. In this case the certificate and the process ids
    /// of the connection belong to the proxy, even if the request names no caller. Otherwise a request that lost its
    /// header on the way would run with the identity of the proxy.
    fn is_proxy(&self, peer: &ConnectionPeer) -> bool {
        self.forwarded().any(|forwarded| forwarded.trusted_proxies.include(peer))
    }

    /// Returns the client certificate if it belongs to the caller and not to a proxy.
    pub(super) fn own_certificate<'a>(&self, presented: &RequestCredentials<'a>) -> ClientCertificate<'a> {
        if self.is_proxy(presented.peer) { ClientCertificate::Nothing } else { presented.certificate }
    }

    fn by_token(
        &self,
        value: &HeaderValue,
        presented: &RequestCredentials<'_>,
        app: Option<&str>,
        now: Millis,
        was_tried: bool,
    ) -> Result<Arc<Caller>, IdentifyError> {
        let found = self.token_caller(bearer(value)?, now, was_tried)?;
        self.serve(found.confirm(self.own_certificate(presented))?, app)
    }

    /// Returns the caller that a valid token names.
    fn token_caller(&self, token: &str, now: Millis, was_tried: bool) -> Result<TokenCaller, IdentifyError> {
        // A token that is too long is not hashed.
        let memory = self.verified.as_ref().filter(|_| token.len() <= LONGEST);
        let memory = memory.map(|verified| (verified, verified.id(token)));
        if let Some(caller) = memory.and_then(|(verified, id)| verified.recall(&id, now)) {
            return Ok(caller);
        }
        let finding = self.verify(token, now, was_tried)?;
        let caller = finding.caller.clone();
        if let Some((verified, id)) = memory {
            verified.remember(id, finding);
        }
        Ok(caller)
    }

    /// Checks that the caller of a valid token may use this app.
    fn serve(&self, caller: Arc<Caller>, app: Option<&str>) -> Result<Arc<Caller>, IdentifyError> {
        let caller = self.own(caller)?;
        let Some(by) = self.vouching(&caller) else { return Err(AuthnError::new(NOT_FOR_THIS_APP).into()) };
        let Common { name, .. } = by.common();
        Ok(by.common().admit(caller, app).map_err(|refusal| refusal.by(name))?)
    }

    /// Verifies the token with the authenticator of the issuer that the token names.
    fn verify(&self, token: &str, now: Millis, was_tried: bool) -> Result<VerifiedToken, IdentifyError> {
        if self.jwts().next().is_none() {
            return Err(AuthnError::new("an `authorization` header is not accepted here").into());
        }
        let token = UnverifiedToken::parse(token)?;
        let issuer = token.issuer()?;
        let Some(jwt) = self.jwts().find(|jwt| jwt.issuer == issuer) else {
            return Err(AuthnError::new("the token's issuer (iss) is not known here").detail(quoted(issuer)).into());
        };
        jwt.identify(token, now, was_tried).map_err(|unidentified| unidentified.by(&jwt.common.name))
    }

    /// Returns the authenticator of the issuer that the token names.
    fn issuer_of(&self, token: &str) -> Option<&Jwt> {
        let token = UnverifiedToken::parse(token).ok()?;
        self.jwts().find(|jwt| token.issuer().is_ok_and(|issuer| issuer == jwt.issuer))
    }

    fn by_key(&self, header: &HeaderName, value: &HeaderValue, app: Option<&str>) -> Result<Arc<Caller>, AuthnError> {
        let sha256 = crypto::sha256(value.as_bytes());
        let candidates = self.api_keys().filter(|api_key| api_key.header == header);
        let found = candidates.filter_map(|api_key| Some((api_key, api_key.id(&sha256)?)));
        // Not `next`: all keys are compared, so the time does not depend on the key.
        let Some((api_key, id)) = found.fold(None, |first, found| first.or(Some(found))) else {
            return Err(AuthnError::new(format!("the API key in `{header}` is not known")));
        };
        let caller = api_key.common.caller(id.to_owned(), Map::new(), Vec::new());
        api_key.common.admit(caller, app).map_err(|refusal| refusal.by(&api_key.common.name))
    }

    /// Returns the error for a request without a credential. It lists the accepted credentials.
    fn nothing(&self, peer: &ConnectionPeer, app: Option<&str>) -> AuthnError {
        let by_proxy = self.is_proxy(peer);
        let mut accepted: Vec<String> = Vec::new();
        for authenticator in self.all.iter().filter(|authenticator| authenticator.common().serves_if(app)) {
            let word = match authenticator {
                Authenticator::Jwt(_) => "`authorization: Bearer <token>`".to_owned(),
                Authenticator::ApiKey(api_key) => format!("an API key in `{}`", api_key.header),
                Authenticator::Forwarded(forwarded) if forwarded.trusted_proxies.include(peer) => {
                    format!("the caller's name in `{}`, because this connection comes from a proxy", forwarded.header)
                }
                Authenticator::Forwarded(_) => "a request through the proxy".to_owned(),
                Authenticator::Introspection(introspection) => introspection.wanted(),
                Authenticator::Mtls(_) | Authenticator::Process(_) if by_proxy => continue,
                Authenticator::Mtls(_) => "a client certificate".to_owned(),
                Authenticator::Process(_) => "a request through the Unix socket from an accepted process".to_owned(),
            };
            if !accepted.contains(&word) {
                accepted.push(word);
            }
        }
        match accepted.as_slice() {
            [] => AuthnError::new("no callers are accepted for this app: no authenticator is configured for it"),
            words => AuthnError::new(format!("there is no credential: send {}", words.join(" or "))),
        }
    }
}

/// Returns the token in `Bearer <token>` (RFC 6750, section 2.1). The scheme is case-insensitive (RFC 9110, section
/// 11.1).
pub(super) fn bearer(value: &HeaderValue) -> Result<&str, AuthnError> {
    let text = value.to_str().map_err(|_| AuthnError::new("the `authorization` header holds more than ASCII"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start_matches(' ')),
        _ => Err(AuthnError::new("the `authorization` header must be `Bearer <token>`")),
    }
}

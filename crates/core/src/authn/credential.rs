//! Selects the credential of a request and checks it.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Map;

use super::authenticator::Authenticator;
use super::authenticators::Authenticators;
use super::binding::TokenCaller;
use super::certificate::ClientCertificate;
use super::common::{Common, NOT_FOR_THIS_APP};
use super::error::{AuthnError, quote};
use super::forwarded;
use super::introspection::{Introspection, IntrospectionQuery};
use super::jwt::{Jwt, UNKNOWN_ISSUER, UnverifiedToken, VerifiedToken};
use super::lookup::{IdentifyError, LookupResult};
use super::mtls::Mtls;
use super::request_credentials::{ConnectionPeer, RequestCredentials, bearer_token};
use crate::crypto;
use crate::model::{Caller, Millis};

const CERTIFICATE_NOT_VALID: &str =
    "the client certificate is no longer valid: it has expired, or its authority is no longer trusted";

impl Authenticators {
    /// Returns the caller of a request to this app. If `app` is `None`, call [`admit`](Self::admit) afterwards with the
    /// apps of the request.
    ///
    /// # Errors
    /// Returns an error if there is no credential, if there is more than one, or if the credential is invalid. Returns
    /// the pending lookup if the program must look something up first.
    pub fn identify<'a>(
        &self,
        presented: &RequestCredentials<'_>,
        app: impl Into<Option<&'a str>>,
        now: Millis,
    ) -> Result<Arc<Caller>, IdentifyError> {
        self.authenticate(presented, app.into(), now, false)
    }

    /// Returns the caller of a request after the lookup that [`identify`](Self::identify) asked for.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`identify`](Self::identify).
    pub fn identify_with<'a>(
        &self,
        lookup_result: LookupResult,
        presented: &RequestCredentials<'_>,
        app: impl Into<Option<&'a str>>,
        now: Millis,
    ) -> Result<Arc<Caller>, AuthnError> {
        match lookup_result {
            LookupResult::Keys => {
                self.authenticate(presented, app.into(), now, true).map_err(IdentifyError::into_refusal)
            }
            LookupResult::Caller(result) => {
                self.check_caller_subject(result?.confirm(self.caller_certificate(presented))?)
            }
        }
    }

    /// Identifies the sender of the request by its only credential. `was_tried` is true if newer keys were already
    /// looked up.
    fn authenticate(
        &self,
        presented: &RequestCredentials<'_>,
        app: Option<&str>,
        now: Millis,
        was_tried: bool,
    ) -> Result<Arc<Caller>, IdentifyError> {
        forwarded::check(&self.forwarded(), presented)?;
        match self.explicit_credential(presented.headers)? {
            Some((header, value)) if self.key_headers.contains(header) => {
                Ok(self.identify_api_key(header, value, app)?)
            }
            Some((header, value)) => match self.introspection_for(header, value, presented.headers, app)? {
                Some(introspection) => {
                    Err(IntrospectionQuery::explicit(introspection, header, presented.headers)?.into())
                }
                None => self.identify_token(value, presented, app, now, was_tried),
            },
            None => self
                .identify_ambient(presented, app)
                .unwrap_or_else(|| Err(self.missing_credential_error(presented.peer, app).into())),
        }
    }

    /// Returns the only explicit credential of the request, if there is one.
    fn explicit_credential<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> Result<Option<(&'a HeaderName, &'a HeaderValue)>, AuthnError> {
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
                Err(AuthnError::invalid(format!("the header `{one}` is there more than once")))
            }
            (Some((one, _)), Some((other, _))) => {
                Err(AuthnError::invalid(format!("there are two credentials, `{one}` and `{other}`: send one")))
            }
        }
    }

    /// Returns the authenticator that asks another server about the credential in this header, if there is one. If the
    /// token names a known issuer, the authenticator of that issuer checks the token instead.
    fn introspection_for(
        &self,
        header: &HeaderName,
        value: &HeaderValue,
        headers: &HeaderMap,
        app: Option<&str>,
    ) -> Result<Option<&Arc<Introspection>>, AuthnError> {
        let mut asking = self.introspections().filter(|one| one.explicit(headers) == Some(header)).peekable();
        let Some(&first) = asking.peek() else { return Ok(None) };
        if header == AUTHORIZATION && self.has_known_issuer(bearer_token(value)?) {
            return Ok(None);
        }
        match asking.find(|one| one.common.accepts_optional_app(app)) {
            None => Err(AuthnError::invalid(NOT_FOR_THIS_APP).with_authenticator(&first.common.name)),
            serving => Ok(serving),
        }
    }

    /// Returns the result of the first authenticator that finds an ambient credential, if there is one.
    fn identify_ambient(
        &self,
        presented: &RequestCredentials<'_>,
        app: Option<&str>,
    ) -> Option<Result<Arc<Caller>, IdentifyError>> {
        let mut serving = self.all.iter().filter(|authenticator| authenticator.common().accepts_optional_app(app));
        let by_proxy = self.is_proxy(presented.peer);
        serving.find_map(|authenticator| {
            let result = match authenticator {
                Authenticator::Forwarded(forwarded) => forwarded
                    .identify(presented)?
                    .and_then(|caller| self.check_caller_subject(caller))
                    .map_err(IdentifyError::Error),
                Authenticator::Mtls(mtls) if !by_proxy => {
                    self.identify_certificate(mtls, presented.certificate)?.map_err(IdentifyError::Error)
                }
                Authenticator::UnixPeer(process) if !by_proxy => Ok(process.identify(presented.peer)?),
                Authenticator::Introspection(introspection) => {
                    Err(IntrospectionQuery::ambient(introspection, presented.headers)?.into())
                }
                Authenticator::Jwt(_)
                | Authenticator::ApiKey(_)
                | Authenticator::Mtls(_)
                | Authenticator::UnixPeer(_) => return None,
            };
            let common = authenticator.common();
            let admitted = match (result, presented.cross_site) {
                (Ok(_) | Err(IdentifyError::Pending(_)), Some(reason)) => Err(AuthnError::cross_site(reason).into()),
                (Ok(caller), None) => common.admit(caller, app).map_err(IdentifyError::Error),
                (unidentified, _) => unidentified,
            };
            Some(admitted.map_err(|unidentified| unidentified.with_authenticator(&common.name)))
        })
    }

    /// Returns the caller that a client certificate names. Returns `None` if there is no certificate, or if another
    /// authenticator lists the name in it.
    fn identify_certificate(
        &self,
        mtls: &Mtls,
        shown: ClientCertificate<'_>,
    ) -> Option<Result<Arc<Caller>, AuthnError>> {
        let names = match shown {
            ClientCertificate::Absent => return None,
            ClientCertificate::Valid(certificate) => &certificate.names,
            ClientCertificate::NoLongerValid => return Some(Err(AuthnError::invalid(CERTIFICATE_NOT_VALID))),
        };
        let caller = mtls.identify(names);
        if caller.is_none() && self.mtls().any(|other| other.identify(names).is_some()) {
            return None;
        }
        Some(caller.unwrap_or_else(|| Err(mtls.unknown_name_error(names))))
    }

    /// Returns whether an authenticator trusts this peer as a proxy. In this case the certificate and the process ids
    /// of the connection belong to the proxy, even if the request names no caller. Otherwise a request that lost its
    /// header on the way would run with the identity of the proxy.
    fn is_proxy(&self, peer: &ConnectionPeer) -> bool {
        self.forwarded().any(|forwarded| forwarded.trusted_proxies.contains(peer))
    }

    /// Returns the client certificate if it belongs to the caller and not to a proxy.
    fn caller_certificate<'a>(&self, presented: &RequestCredentials<'a>) -> ClientCertificate<'a> {
        if self.is_proxy(presented.peer) { ClientCertificate::Absent } else { presented.certificate }
    }

    fn identify_token(
        &self,
        value: &HeaderValue,
        presented: &RequestCredentials<'_>,
        app: Option<&str>,
        now: Millis,
        was_tried: bool,
    ) -> Result<Arc<Caller>, IdentifyError> {
        let found = self.token_caller(bearer_token(value)?, now, was_tried)?;
        self.admit_token_caller(found.confirm(self.caller_certificate(presented))?, app)
    }

    /// Returns the caller that a valid token names.
    fn token_caller(&self, token: &str, now: Millis, was_tried: bool) -> Result<TokenCaller, IdentifyError> {
        // A token that is too long is not hashed.
        let cache = self.token_cache.as_ref().filter(|_| token.len() <= self.max_token_bytes);
        let memory = cache.map(|verified| (verified, verified.digest(token)));
        if let Some(caller) = memory.and_then(|(verified, id)| verified.get(&id, now)) {
            return Ok(caller);
        }
        let verified_token = self.verify(token, now, was_tried)?;
        let caller = verified_token.caller.clone();
        if let Some((verified, id)) = memory {
            verified.insert(id, verified_token);
        }
        Ok(caller)
    }

    /// Checks that the caller of a valid token may use this app.
    fn admit_token_caller(&self, caller: Arc<Caller>, app: Option<&str>) -> Result<Arc<Caller>, IdentifyError> {
        let caller = self.check_caller_subject(caller)?;
        let Some(by) = self.vouching(&caller) else { return Err(AuthnError::invalid(NOT_FOR_THIS_APP).into()) };
        let Common { name, .. } = by.common();
        Ok(by.common().admit(caller, app).map_err(|refusal| refusal.with_authenticator(name))?)
    }

    /// Verifies the token with the authenticator for which it is meant.
    fn verify(&self, token: &str, now: Millis, was_tried: bool) -> Result<VerifiedToken, IdentifyError> {
        if self.jwts().next().is_none() {
            return Err(AuthnError::invalid("an `authorization` header is not accepted here").into());
        }
        let token = UnverifiedToken::parse(token, self.max_token_bytes)?;
        let jwt = self.select_jwt(&token)?;
        jwt.identify(token, now, was_tried).map_err(|unidentified| unidentified.with_authenticator(&jwt.common.name))
    }

    /// Returns the authenticator of the issuer that the token names. If there are several, the audience and the
    /// required claims of the token select one of them.
    fn select_jwt(&self, token: &UnverifiedToken<'_>) -> Result<&Jwt, AuthnError> {
        let issuer = token.issuer()?;
        let mut candidates: Vec<_> = self.jwts().filter(|jwt| jwt.issuer.find(issuer).is_some()).collect();
        if candidates.len() > 1 {
            candidates.retain(|jwt| jwt.is_meant_by(token));
            if candidates.is_empty() {
                return Err(AuthnError::invalid(
                    "no authenticator of the token's issuer accepts its audience and its claims",
                ));
            }
        }
        match candidates[..] {
            [jwt] => Ok(jwt),
            [] => Err(AuthnError::invalid(UNKNOWN_ISSUER).with_detail(quote(issuer))),
            _ => Err(AuthnError::invalid("the token is meant for several authenticators: it must name one audience")),
        }
    }

    /// Returns whether the token names an issuer of an authenticator.
    fn has_known_issuer(&self, token: &str) -> bool {
        let token = UnverifiedToken::parse(token, self.max_token_bytes);
        token.is_ok_and(|token| {
            self.jwts().any(|jwt| token.issuer().is_ok_and(|issuer| jwt.issuer.find(issuer).is_some()))
        })
    }

    fn identify_api_key(
        &self,
        header: &HeaderName,
        value: &HeaderValue,
        app: Option<&str>,
    ) -> Result<Arc<Caller>, AuthnError> {
        let sha256 = crypto::sha256(value.as_bytes());
        let candidates = self.api_keys().filter(|api_key| api_key.header == header);
        let found = candidates.filter_map(|api_key| Some((api_key, api_key.find_id(&sha256)?)));
        // Not `next`: all keys are compared, so the time does not depend on the key.
        let Some((api_key, id)) = found.fold(None, |first, found| first.or(Some(found))) else {
            return Err(AuthnError::invalid(format!("the API key in `{header}` is not known")));
        };
        let caller = api_key.common.caller(id.to_owned(), Map::new(), Vec::new());
        api_key.common.admit(caller, app).map_err(|refusal| refusal.with_authenticator(&api_key.common.name))
    }

    /// Returns the error for a request without a credential. It lists the accepted credentials.
    fn missing_credential_error(&self, peer: &ConnectionPeer, app: Option<&str>) -> AuthnError {
        let by_proxy = self.is_proxy(peer);
        let mut accepted: Vec<String> = Vec::new();
        for authenticator in self.all.iter().filter(|authenticator| authenticator.common().accepts_optional_app(app)) {
            let word = match authenticator {
                Authenticator::Jwt(_) => "`authorization: Bearer <token>`".to_owned(),
                Authenticator::ApiKey(api_key) => format!("an API key in `{}`", api_key.header),
                Authenticator::Forwarded(forwarded) if forwarded.trusted_proxies.contains(peer) => {
                    format!("the caller's name in `{}`, because this connection comes from a proxy", forwarded.header)
                }
                Authenticator::Forwarded(_) => "a request through the proxy".to_owned(),
                Authenticator::Introspection(introspection) => introspection.describe_credentials(),
                Authenticator::Mtls(_) | Authenticator::UnixPeer(_) if by_proxy => continue,
                Authenticator::Mtls(_) => "a client certificate".to_owned(),
                Authenticator::UnixPeer(_) => "a request through the Unix socket from an accepted process".to_owned(),
            };
            if !accepted.contains(&word) {
                accepted.push(word);
            }
        }
        match accepted.as_slice() {
            [] => AuthnError::invalid("no callers are accepted for this app: no authenticator is configured for it"),
            words => AuthnError::invalid(format!("there is no credential: send {}", words.join(" or "))),
        }
    }
}

//! `[[authenticators]]` with `type = "introspection"` and `type = "leancloud-session"`.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};

use super::authenticator_context::{
    AuthenticatorContext, ConfiguredAuthenticators, fixed_subject_prefix, role_mapping,
};
use super::endpoint;
use super::headers::{self, HeaderRole};
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::token_rules::{optional_audience, required_claims, subjects, token_rules};
use super::vendors::leancloud;
use crate::authn::{
    BearerToken, Common, Endpoint, IdentityMapping, Introspection, IntrospectionProtocol, RoleMapping, SubjectPrefix,
};
use crate::secret::Secret;

/// The default lifetime of an answer in the cache.
const DEFAULT_CACHE_TTL: Duration = Duration::from_secs(30);

/// Reads all keys of the section except those that every authenticator has.
pub(super) fn introspection(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut ConfiguredAuthenticators,
    context: &mut AuthenticatorContext<'_>,
) -> Option<Arc<Introspection>> {
    let preset = section.get("preset");
    let url = section.require("url", "write the address of the server: url = \"https://…\"");
    let url = url.and_then(|item| endpoint::url(&item));
    let authorities = endpoint::authorities(section, context.secrets);
    let (protocol, subject, bearer) = match &preset {
        Some(_) => token(section, context.secrets),
        None => (session(section, callers), required_subject(section), None),
    };
    let preset = preset.map_or(Some(()), |item| item.keyword(&[("rfc7662", ())]));
    let subject_prefix = fixed_subject_prefix(section, common.as_ref(), callers, "this server and");
    let required = required_claims(section);
    let roles = role_mapping(section, context.roles, "these answers");
    let cache_lifetime = cache(section);
    preset?;
    let (common, url, protocol) = (common?, url?, protocol?);
    let endpoint = Endpoint { authorities, bearer, proxy: context.secrets.proxy.clone(), ..Endpoint::new(url) };
    let identity = IdentityMapping { required: required?, ..identity(subject?, subject_prefix?, roles) };
    Some(Arc::new(Introspection { common, endpoint, protocol, identity, cache_lifetime }))
}

/// Reads all keys of the section except those that every authenticator has.
pub(super) fn leancloud_session(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut ConfiguredAuthenticators,
    context: &mut AuthenticatorContext<'_>,
) -> Option<Arc<Introspection>> {
    let app = section.require("app", "write which LeanCloud app's users these are");
    let app = app.and_then(|item| leancloud::app_name(&item, context.leancloud));
    let url = section.require("url", "write the app's API address: url = \"https://…\"");
    let url = url.and_then(|item| endpoint::api(&item, "/1.1/users/me"));
    let authorities = endpoint::authorities(section, context.secrets);
    let key = section.require("app_key", "write app_key = { env = \"NAME\" } or { file = \"PATH\" }: the App Key");
    let app_key = key.and_then(|item| context.secrets.header_secret(&item));
    let sign = section.get("sign").and_then(|item| item.boolean()).unwrap_or(false);
    let subject_prefix = fixed_subject_prefix(section, common.as_ref(), callers, "this server and");
    let cache_lifetime = cache(section);
    let app_id = app.and_then(|name| leancloud::app_id(context.valid_apps, name))?;
    let (common, url, app_key) = (common?, url?, app_key?);
    let endpoint = Endpoint { authorities, proxy: context.secrets.proxy.clone(), ..Endpoint::new(url) };
    let protocol = IntrospectionProtocol::LeanCloud { app_id, app_key, sign };
    let identity = identity(vec!["objectId".to_owned()], subject_prefix?, RoleMapping::none(context.roles));
    Some(Arc::new(Introspection { common, endpoint, protocol, identity, cache_lifetime }))
}

/// Returns the mapping of an answer. A subject can be a whole number, because many backends number their users.
fn identity(subject: Vec<String>, subject_prefix: SubjectPrefix, roles: RoleMapping) -> IdentityMapping {
    IdentityMapping { subject, numeric_subject: true, subject_prefix, required: Vec::new(), roles }
}

fn cache(section: &mut Section<'_>) -> Duration {
    section.duration_or("cache", ["0s", "1h"], DEFAULT_CACHE_TTL)
}

/// Reads `forward`: the cookies and headers that the session endpoint of the app gets.
fn session(section: &mut Section<'_>, callers: &mut ConfiguredAuthenticators) -> Option<IntrospectionProtocol> {
    const HELP: &str = "write which cookies or headers of the caller are forwarded: forward = { cookies = [\"sid\"] }";
    section.require("forward", HELP)?;
    let mut forward = section.section("forward")?;
    let cookies = forward.get("cookies").map(|item| names(&item, cookie));
    let headers = forward.get("headers").map(|item| names(&item, |item| header(item, callers)));
    let place = forward.span.clone();
    forward.report_unknown_keys();
    let signed_out = section.get("signed_out").map_or(Some(Vec::new()), |item| item.read_unique_list(status));
    let (cookies, headers) = (cookies.unwrap_or(Some(Vec::new()))?, headers.unwrap_or(Some(Vec::new()))?);
    if cookies.is_empty() && headers.is_empty() {
        section.file.mistake(&place, "`forward` names neither cookies nor headers", HELP);
        return None;
    }
    Some(IntrospectionProtocol::Session { cookies, headers, signed_out: signed_out? })
}

/// Reads a status with which a session endpoint answers if nobody is signed in.
fn status(item: &ConfigItem<'_>) -> Option<StatusCode> {
    let number = item.integer(204..=499)?;
    u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok())
}

/// Reads a list of names, which may be empty.
fn names<'a, T>(item: &ConfigItem<'a>, mut read: impl FnMut(&ConfigItem<'a>) -> Option<T>) -> Option<Vec<T>> {
    let read: Vec<_> = item.elements("write a list of names")?.iter().map(&mut read).collect();
    read.into_iter().collect()
}

/// Reads the name of a cookie (RFC 6265, section 4.1.1).
fn cookie(item: &ConfigItem<'_>) -> Option<String> {
    let name = item.non_empty_text()?;
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    if name.bytes().all(legal) {
        return Some(name.to_owned());
    }
    item.mistake(
        format!("has {}, which is not the name of a cookie", quoted(name)),
        "write the name alone, as in \"sid\"",
    )
}

fn header(item: &ConfigItem<'_>, callers: &mut ConfiguredAuthenticators) -> Option<HeaderName> {
    if headers::header(item)? == AUTHORIZATION {
        return Some(AUTHORIZATION);
    }
    callers.headers.read(item, HeaderRole::Forwarded)
}

fn required_subject(section: &mut Section<'_>) -> Option<Vec<String>> {
    let item = section.require("subject", "write the field of the answer that names the caller: subject = \"/id\"")?;
    subjects(&item)
}

/// Reads the settings of an authorization server: the content of the request, the field of the answer that names the
/// caller, and the bearer token. A value with a mistake is noted and left out.
fn token(
    section: &mut Section<'_>,
    vault: &mut SecretResolver,
) -> (Option<IntrospectionProtocol>, Option<Vec<String>>, Option<BearerToken>) {
    let subject = section.get("subject").map_or(Some(vec!["sub".to_owned()]), |item| subjects(&item));
    let audience = optional_audience(section);
    let client = client(section, vault);
    let rules = token_rules(section);
    let bearer = endpoint::bearer(section, vault);
    (Some(IntrospectionProtocol::Token { client, audience, rules }), subject, bearer)
}

/// Reads the client id and client secret of this program at the authorization server.
fn client(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<(String, Secret)> {
    const BOTH: &str = "write both, or neither";
    let id = section.get("client_id");
    let key = section.get("client_secret");
    let secret = key.as_ref().map(|item| vault.secret(item));
    match (id, key) {
        (Some(id), _) if section.contains_key("bearer") => id
            .mistake("is a second credential for the server", "keep `client_id` and `client_secret`, or keep `bearer`"),
        (Some(id), Some(_)) => Some((id.non_empty_text()?.to_owned(), secret.flatten()?)),
        (Some(id), None) => id.mistake("needs `client_secret` beside it", BOTH),
        (None, Some(key)) => {
            section.file.mistake(&key.key, "`client_secret` needs `client_id` beside it", BOTH);
            None
        }
        (None, None) => None,
    }
}

//! `[[authenticators]]` with `type = "jwt"`.

use std::time::Duration;

use toml::de::DeValue;

use super::authenticator_context::{AuthenticatorContext, ConfiguredAuthenticators, role_mapping, subject_prefix};
use super::demo::{self, DemoCaller};
use super::jwt_keys::{JwtKeys, jwt_keys};
use super::key_set::JwtOwner;
use super::reader::{ConfigItem, Section, quoted};
use super::text;
use super::token_rules::{audience, required_claims, subjects, token_rules};
use crate::authn::{
    Common, IdentityMapping, Issuer, Jwt, KeySource, SubjectPrefix, TENANT_PLACEHOLDER, is_tenant, normalize_media_type,
};
use crate::model::RoleHierarchy;

/// The default of the tolerated difference between the clocks of the issuer and of this machine.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// Reads all keys of the section except those that every authenticator has.
pub(super) fn jwt(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut ConfiguredAuthenticators,
    context: &mut AuthenticatorContext<'_>,
) -> Option<Jwt> {
    let issuer = issuer(section);
    let audience = audience(section);
    let owner = JwtOwner { common: common.as_ref(), issuer: issuer.as_ref() };
    let keys = jwt_keys(section, owner, context);
    let identity = identity(section, owner, callers, context.roles);
    let leeway_seconds = section.duration_or("leeway", ["0s", "5m"], DEFAULT_LEEWAY).as_secs();
    let types = section.get("typ").map_or(Some(Vec::new()), |item| item.read_unique_list(token_type));
    let rules = token_rules(section);

    let JwtKeys { algorithms, keys, shared_secrets, secrets } = keys?;
    let (common, issuer, audience, identity, accepted_types) = (common?, issuer?, audience?, identity?, types?);
    let jwt = Jwt {
        common,
        issuer,
        audience,
        algorithms,
        keys,
        shared_secrets,
        identity,
        leeway_seconds,
        accepted_types,
        rules,
    };
    warn_of_id_tokens(section, &jwt);
    if let Some(secret) = secrets.into_iter().find(demo::is_demo_caller_secret) {
        callers.demo_caller = DemoCaller::from_jwt(&jwt, secret);
    }
    Some(jwt)
}

/// Reads the mapping from a token to its caller.
fn identity(
    section: &mut Section<'_>,
    owner: JwtOwner<'_>,
    callers: &mut ConfiguredAuthenticators,
    role_hierarchy: &RoleHierarchy,
) -> Option<IdentityMapping> {
    let subject = section.get("subject").map_or(Some(vec!["sub".to_owned()]), |item| subjects(&item));
    let numeric_subject = section.get("numeric_subject").and_then(|item| item.boolean()).unwrap_or(false);
    let subject_prefix = subject_prefix(section, owner.common, callers, "this issuer and that of");
    if let (Some(issuer), Some(prefix)) = (owner.issuer, &subject_prefix) {
        check_prefix(section, issuer, prefix);
    }
    let required = required_claims(section);
    let roles = role_mapping(section, role_hierarchy, "these tokens");
    let (subject, subject_prefix, required) = (subject?, subject_prefix?, required?);
    Some(IdentityMapping { subject, numeric_subject, subject_prefix, required, roles })
}

/// Reads an additional accepted value of the header `typ`.
fn token_type(item: &ConfigItem<'_>) -> Option<String> {
    let typ = item.non_empty_text()?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
    if typ.bytes().all(legal) {
        return Some(normalize_media_type(typ));
    }
    item.mistake(format!("has {}, which is not a media type", quoted(typ)), "write it as in the tokens: \"chat+jwt\"")
}

const ADD_PLACEHOLDER: &str =
    "leave it out, or write the place of the tenant: issuer = \"https://login.example.com/{tenant}/v2.0\"";
const ADD_TENANTS: &str =
    "list the tenants: tenants = [\"acme\"], or accept each tenant of this issuer: tenants = \"any\"";

/// Reads `issuer` and `tenants`.
fn issuer(section: &mut Section<'_>) -> Option<Issuer> {
    let item = section.require("issuer", "write the `iss` of its tokens: issuer = \"https://id.example.com/\"");
    let tenants = section.get("tenants");
    let item = item?;
    let issuer = item.non_empty_text()?;
    text::warn_if_unchanged(&item, "the `iss` of its tokens");
    match (issuer.split_once(TENANT_PLACEHOLDER), tenants) {
        (None, None) => Some(Issuer::Exact(issuer.to_owned())),
        (None, Some(tenants)) => tenants.mistake("has no effect, because `issuer` has no `{tenant}`", ADD_PLACEHOLDER),
        (Some(_), None) => item.mistake("has `{tenant}`, but there are no `tenants`", ADD_TENANTS),
        (Some((_, after)), Some(_)) if after.contains(TENANT_PLACEHOLDER) => {
            item.mistake("has `{tenant}` twice", "write it once")
        }
        (Some((before, after)), Some(tenants)) => {
            let (before, after, tenants) = (before.to_owned(), after.to_owned(), self::tenants(&tenants)?);
            Some(Issuer::PerTenant { before, after, tenants })
        }
    }
}

/// Reads the tenants: a list, or the word `any`. The inner `None` stands for any tenant. Returns `None` if there is a
/// mistake.
#[expect(clippy::option_option, reason = "the outer option is a mistake, the inner one a list that is not there")]
fn tenants(item: &ConfigItem<'_>) -> Option<Option<Vec<String>>> {
    match item.value {
        DeValue::String(_) => item.keyword(&[("any", ())]).map(|()| None),
        _ => item.read_unique_list(tenant).map(Some),
    }
}

fn tenant(item: &ConfigItem<'_>) -> Option<String> {
    let name = item.non_empty_text()?;
    if is_tenant(name) {
        return Some(name.to_owned());
    }
    item.mistake(
        format!("has {}, which is not the name of a tenant", quoted(name)),
        "use at most 64 letters, digits, `-` and `_`, as in the `iss` of its tokens",
    )
}

/// Checks that the prefix of subjects fits the tenants.
fn check_prefix(section: &mut Section<'_>, issuer: &Issuer, prefix: &SubjectPrefix) {
    let place = section.get("subject_prefix").map_or(section.span.clone(), |item| item.span);
    match issuer {
        Issuer::Exact(_) if prefix.has_tenant() => {
            let message = "`subject_prefix` has `{tenant}`, but `issuer` has none";
            section.file.mistake(&place, message, "write the prefix without `{tenant}`");
        }
        Issuer::PerTenant { tenants, .. }
            if !prefix.has_tenant() && tenants.as_ref().is_none_or(|tenants| tenants.len() > 1) =>
        {
            let message = "each tenant of this issuer can speak for the users of the other tenants";
            let help = "if that is unintended, separate them: subject_prefix = \"{tenant}/\"";
            section.file.warning(&place, message, help);
        }
        Issuer::Exact(_) | Issuer::PerTenant { .. } => {}
    }
}

/// Warns if the authenticator cannot distinguish access tokens from ID tokens of its issuer. An issuer whose keys are
/// fetched usually issues both.
fn warn_of_id_tokens(section: &Section<'_>, jwt: &Jwt) {
    if section.contains_key("refuse_id_tokens") {
        return;
    }
    let is_fetched = match jwt.keys {
        KeySource::Fixed(_) => false,
        KeySource::Fetched(_) | KeySource::PerTenant(_) => true,
    };
    if is_fetched && jwt.identity.required.is_empty() {
        let message = "ID tokens of this issuer are accepted like access tokens, if their audience is accepted";
        let help = "add refuse_id_tokens = true, or `required_claims` that only access tokens have; refuse_id_tokens = false keeps this without the warning";
        section.file.warning(&section.span, message, help);
    }
}

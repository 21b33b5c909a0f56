//! `[[authenticators]]` with `type = "jwt"`.

use super::authenticator_context::{AuthenticatorContext, ConfiguredAuthenticators, role_mapping, subject_prefix};
use super::demo::{self, DemoCaller};
use super::endpoint;
use super::file::ByteRange;
use super::key_set::{KeySetOptions, KeySetOwner};
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::signing::SigningSecret;
use super::text::{self, claim_name};
use crate::authn::{
    ALGORITHMS, Algorithm, Common, IdentityMapping, Jwt, KeySource, TokenRules, VerificationKeys, is_address_claim,
    is_symmetric, normalize_media_type,
};
use crate::secret::Secret;

const NEW_SECRET: &str = "make a new one of random bytes: openssl rand -hex 32";

/// Shared secrets, and their place in the file.
type SharedSecrets = (ByteRange, Vec<Secret>);

/// Reads all keys of the section except those that every authenticator has.
pub(super) fn jwt(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut ConfiguredAuthenticators,
    context: &mut AuthenticatorContext<'_>,
) -> Option<Jwt> {
    let issuer = issuer(section, common.as_ref(), callers);
    let audience = section.require("audience", "list the `aud` values of its tokens: audience = [\"chat\"]");
    let audience = audience.and_then(|item| {
        text::warn_if_unchanged(&item, "the `aud` of its tokens");
        item.texts()
    });
    let algorithms = algorithms(section);
    let mut shared = None;
    let owner = KeySetOwner { common: common.as_ref(), issuer: issuer.as_deref(), algorithms: algorithms.as_deref() };
    let keys = keys(section, owner, context.secrets, &mut shared);
    let (place, secrets) = shared.unwrap_or_default();
    check_and_record_secrets(section, &place, &secrets, common.as_ref(), context.secrets);
    let subject = section.get("subject").map_or(Some("sub".to_owned()), |item| subject(&item));
    let subject_prefix = subject_prefix(section, common.as_ref(), callers, "this issuer and that of");
    let roles = role_mapping(section, context.roles, "these tokens");
    let leeway = section.get("leeway").and_then(|item| item.duration("0s", "5m"));
    let types = section.get("typ").map_or(Some(Vec::new()), |item| item.read_unique_list(token_type));
    let token_rules = token_rules(section);

    let jwt = Jwt {
        common: common?,
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        identity: IdentityMapping {
            subject: vec![subject?],
            numeric_subject: false,
            subject_prefix: subject_prefix?,
            roles,
        },
        leeway_seconds: leeway.map_or(30, |leeway| leeway.as_secs()),
        accepted_types: types?,
        rules: token_rules,
        keys: keys?,
    };
    if let Some(secret) = secrets.into_iter().find(demo::is_demo_caller_secret) {
        callers.demo_caller = DemoCaller::from_jwt(&jwt, secret);
    }
    Some(jwt)
}

/// Reads the name of the claim that names the caller.
pub(super) fn subject(item: &ConfigItem<'_>) -> Option<String> {
    let name = claim_name(item)?;
    if is_address_claim(&name) {
        let message = "`subject` is an e-mail address or phone number: it can pass to another person, and is accepted unless the token says that it is not verified";
        item.file.warning(&item.span, message, "name a claim that never changes, such as \"sub\"");
    }
    Some(name)
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

/// Reads the rules for tokens beyond a valid signature.
pub(super) fn token_rules(section: &mut Section<'_>) -> TokenRules {
    let accept_bound = section.get("accept_bound_tokens").and_then(|item| item.boolean()).unwrap_or(false);
    let max_age = section.get("max_token_age").and_then(|item| item.duration("1s", "365d"));
    TokenRules { accept_bound, max_age }
}

fn issuer(
    section: &mut Section<'_>,
    common: Option<&Common>,
    callers: &mut ConfiguredAuthenticators,
) -> Option<String> {
    let item = section.require("issuer", "write the `iss` of its tokens: issuer = \"https://id.example.com/\"")?;
    let issuer = item.non_empty_text()?;
    let name = common.map_or("another authenticator".to_owned(), |common| quoted(&common.name));
    if let Some(other) = callers.issuers.insert(issuer.to_owned(), name) {
        let help = "one issuer has one authenticator: list several keys, audiences or algorithms in that one";
        return item.mistake(format!("is already the issuer of {other}"), help);
    }
    text::warn_if_unchanged(&item, "the `iss` of its tokens");
    Some(issuer.to_owned())
}

fn algorithms(section: &mut Section<'_>) -> Option<Vec<Algorithm>> {
    let item = section.require("algorithms", "list the algorithms of its tokens: algorithms = [\"RS256\"]")?;
    let algorithms = item.read_unique_list(|item| item.keyword(&ALGORITHMS))?;
    let symmetric = algorithms.iter().filter(|algorithm| is_symmetric(**algorithm)).count();
    if symmetric != 0 && symmetric != algorithms.len() {
        let help = "list either HS256, HS384 and HS512, or only other algorithms: a public key must never be used as a shared secret";
        return item.mistake("mixes shared secrets with public keys", help);
    }
    Some(algorithms)
}

/// Reads the single source of keys, inside or outside `jwks = { … }`.
fn keys(
    section: &mut Section<'_>,
    owner: KeySetOwner<'_>,
    vault: &mut SecretResolver,
    shared_secrets: &mut Option<SharedSecrets>,
) -> Option<KeySource> {
    let mut sources: Vec<_> =
        ["secret", "public_key", "discovery"].into_iter().filter_map(|key| section.get(key)).collect();
    let mut fetching = KeySetOptions::default();
    if let Some(mut jwks) = section.section("jwks") {
        let inside = ["file", "url", "secret", "public_key", "discovery"];
        sources.extend(inside.into_iter().filter_map(|key| jwks.get(key)));
        fetching = KeySetOptions::read(&mut jwks, vault);
        jwks.report_unknown_keys();
    }
    let help = "write secret = { env = \"NAME\" }, public_key = \"key.pem\" or jwks = { url = \"https://…\" }";
    if sources.is_empty() {
        section.file.missing(&section.span, format!("{} has no keys to verify tokens with", section.title), help);
    }
    for extra in sources.iter().skip(1) {
        let message = format!("`{}` is a second source of keys", extra.name);
        extra.file.mistake(&extra.key, message, "keep one: an authenticator has one source of keys");
    }
    if !sources.iter().any(|item| matches!(item.name, "url" | "discovery")) {
        fetching.refuse_all();
    }
    let read = |item: &ConfigItem<'_>| source(item, owner, &fetching, vault, shared_secrets);
    let mut keys: Vec<_> = sources.iter().map(read).collect();
    keys.pop().flatten()
}

fn source<'a>(
    item: &ConfigItem<'a>,
    owner: KeySetOwner<'_>,
    fetching: &KeySetOptions<'a>,
    vault: &mut SecretResolver,
    shared_secrets: &mut Option<SharedSecrets>,
) -> Option<KeySource> {
    let algorithms = owner.algorithms;
    match item.name {
        "secret" => shared_secret_keys(item, algorithms, vault, shared_secrets).map(KeySource::Fixed),
        "public_key" => public_keys(item, algorithms, vault, VerificationKeys::from_pem_file).map(KeySource::Fixed),
        "file" => public_keys(item, algorithms, vault, VerificationKeys::from_jwks_file).map(KeySource::Fixed),
        "url" => fetching.by_url(item, owner),
        _ => fetching.by_discovery(item, owner),
    }
}

fn shared_secret_keys(
    item: &ConfigItem<'_>,
    algorithms: Option<&[Algorithm]>,
    vault: &mut SecretResolver,
    shared_secrets: &mut Option<SharedSecrets>,
) -> Option<VerificationKeys> {
    let secrets = vault.signing_secrets(item);
    let algorithms = algorithms?;
    if !algorithms.iter().all(|algorithm| is_symmetric(*algorithm)) {
        let message = "a shared secret can't verify these `algorithms`";
        item.file.mistake(&item.key, message, "write `public_key` or `jwks` for them, or algorithms = [\"HS256\"]");
        return None;
    }
    let secrets = secrets?;
    let keys = VerificationKeys::from_secrets(&secrets, algorithms);
    *shared_secrets = Some((item.key.clone(), secrets));
    match keys {
        Ok(keys) => Some(keys),
        Err(flaw) => {
            item.file.mistake(&item.key, format!("`secret` can't be used: {flaw}"), NEW_SECRET);
            None
        }
    }
}

/// Checks that nothing else is signed with these secrets, or with secrets that make the same signatures. Otherwise, a
/// party that knows one could sign for both. The public secret of the demonstration is not checked here.
fn check_and_record_secrets(
    section: &Section<'_>,
    place: &ByteRange,
    secrets: &[Secret],
    common: Option<&Common>,
    vault: &mut SecretResolver,
) {
    let own = |secret: &&Secret| !demo::is_demo_caller_secret(secret);
    if let Some(other) = secrets.iter().filter(own).find_map(|secret| vault.owner_signing_with(secret.expose())) {
        let message = format!("`secret` is also the secret of {other}, so each can sign as the other");
        section.file.mistake(place, message, NEW_SECRET);
    }
    let name = common.map_or("another authenticator".to_owned(), |common| quoted(&common.name));
    vault.signing.extend(secrets.iter().map(|secret| SigningSecret::new(secret.expose(), &name, place)));
}

fn public_keys(
    item: &ConfigItem<'_>,
    algorithms: Option<&[Algorithm]>,
    vault: &SecretResolver,
    read: fn(&[u8], &[Algorithm]) -> Result<VerificationKeys, String>,
) -> Option<VerificationKeys> {
    let name = item.non_empty_text()?;
    let algorithms = algorithms?;
    if algorithms.iter().any(|algorithm| is_symmetric(*algorithm)) {
        return item.mistake(
            "can't verify these `algorithms`, which need a shared secret",
            "write secret = { env = \"NAME\" }",
        );
    }
    let (_, bytes) = endpoint::read(item, vault)?;
    match read(&bytes, algorithms) {
        Ok(keys) => Some(keys),
        Err(flaw) => item.mistake(format!("names {}, which can't be used: {flaw}", quoted(name)), "replace that file"),
    }
}

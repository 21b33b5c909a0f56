//! `[[authenticators]]` of `signer.toml`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::demo::{self, DemoCaller};
use super::file::Span;
use super::later::{self, claim_name, header};
use super::reader::{Item, Section, quoted, unread};
use super::secret::Vault;
use crate::authn::{ALGORITHMS, Algorithm, ApiKey, Authenticator, Common, Jwt, Keys, is_symmetric};
use crate::model::{CallerKind, Ladder, Role, check_identifier};
use crate::secret::Secret;

/// The configured authenticators.
#[derive(Default)]
pub(super) struct Callers {
    /// Those without a mistake.
    pub(super) authenticators: Vec<Authenticator>,
    /// Every name, also of those with a mistake.
    pub(super) names: Vec<String>,
    /// What makes a token that this configuration takes, if it trusts the demonstration's secret.
    pub(super) demo: Option<DemoCaller>,
    /// Where the hash of the demonstration's API key stands, if it does.
    pub(super) demo_key: Option<Span>,
    /// Each issuer, and who has it.
    issuers: HashMap<String, String>,
    /// The ids and the hashes of all API keys.
    key_ids: HashSet<String>,
    key_hashes: HashSet<[u8; 32]>,
}

/// What authenticators may refer to.
pub(super) struct Context<'c> {
    /// The configured apps.
    pub(super) apps: &'c [String],
    /// Those of them at LeanCloud.
    pub(super) leancloud: &'c [String],
    /// The policy's roles; none if the policy couldn't be read.
    pub(super) ladder: &'c Ladder,
    pub(super) vault: &'c mut Vault,
}

#[derive(Clone, Copy)]
enum Type {
    Jwt,
    ApiKey,
    Later(&'static str),
}

const TYPES: [(&str, Type); 7] = [
    ("jwt", Type::Jwt),
    ("api-key", Type::ApiKey),
    ("forwarded", Type::Later("forwarded")),
    ("introspection", Type::Later("introspection")),
    ("leancloud-session", Type::Later("leancloud-session")),
    ("mtls", Type::Later("mtls")),
    ("peer", Type::Later("peer")),
];

/// Reads every authenticator.
pub(super) fn authenticators(root: &mut Section<'_>, mut context: Context<'_>) -> Callers {
    let mut callers = Callers::default();
    let sections = root.sections("authenticators");
    if !root.has("authenticators") {
        let help = "add [[authenticators]] with type = \"jwt\" or \"api-key\"";
        root.file.missing(&root.span, "there is no authenticator, so nobody could call", help);
    }
    for section in sections {
        authenticator(section, &mut callers, &mut context);
    }
    callers
}

fn authenticator(mut section: Section<'_>, callers: &mut Callers, context: &mut Context<'_>) {
    let name = name(&mut section, callers);
    let help = "write type = \"jwt\" or type = \"api-key\"";
    let Some(kind_item) = section.need("type", help) else { return section.hide_rest() };
    let Some(kind) = kind_item.word(&TYPES) else { return section.hide_rest() };
    let caller =
        section.need("caller", "write caller = \"user\" for end users' devices, or caller = \"service\" for backends");
    let caller = caller.and_then(|item| item.word(&[("user", CallerKind::User), ("service", CallerKind::Service)]));
    let apps = section.get("apps").map(|item| item.names("a configured app", context.apps));
    let common = common(name, caller, apps);
    let made = match kind {
        Type::Jwt => jwt(&mut section, common, callers, context).map(Authenticator::Jwt),
        Type::ApiKey => api_key(&mut section, common, callers).map(Authenticator::ApiKey),
        Type::Later(word) => {
            later::authenticator(&mut section, word, context.vault, context.leancloud);
            later::refuse(section.file, &kind_item.span, &format!("type = \"{word}\""));
            None
        }
    };
    callers.authenticators.extend(made);
    section.finish();
}

/// `apps` is `None` where nothing is said, and `Some(None)` where what is said is wrong.
fn common(name: Option<String>, kind: Option<CallerKind>, apps: Option<Option<Vec<String>>>) -> Option<Common> {
    let apps = match apps {
        Some(given) => Some(given?),
        None => None,
    };
    Some(Common { name: Arc::from(name?), kind: kind?, apps })
}

fn name(section: &mut Section<'_>, callers: &mut Callers) -> Option<String> {
    let item = section.need("name", "give it a name for logs and rules: name = \"app-users\"")?;
    let name = item.filled()?;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.len() > 64 || !name.chars().all(legal) {
        return item.refuse(format!("can't be {}", quoted(name)), "use at most 64 small letters, digits, `_` and `-`");
    }
    if callers.names.iter().any(|other| other == name) {
        return item
            .refuse(format!("is {} for another authenticator too", quoted(name)), "give each a name of its own");
    }
    callers.names.push(name.to_owned());
    Some(name.to_owned())
}

fn jwt(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut Callers,
    context: &mut Context<'_>,
) -> Option<Jwt> {
    let issuer = issuer(section, callers);
    let audience = section.need("audience", "list what the tokens are made out to: audience = [\"chat\"]");
    let audience = audience.and_then(|item| item.texts());
    let algorithms = algorithms(section);
    let mut demo_secret = None;
    let keys = keys(section, algorithms.as_deref(), context.vault, &mut demo_secret);
    let subject = section.get("subject").map_or(Some("sub".to_owned()), |item| claim_name(&item));
    let subject_prefix = section.get("subject_prefix").map_or(Some(""), |item| prefix(&item));
    let roles = section.get("roles");
    let bindings = section.get("bindings");
    let max_role = max_role(section, context.ladder, roles.as_ref().or(bindings.as_ref()));
    let [roles, bindings] = [roles, bindings].map(|item| item.and_then(|item| claim_name(&item)));
    let leeway = section.get("leeway").and_then(|item| item.duration("0s", "5m"));

    let jwt = Jwt {
        common: common?,
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        subject: subject?,
        subject_prefix: subject_prefix?.to_owned(),
        roles,
        bindings,
        ladder: context.ladder.clone(),
        max_role,
        leeway_seconds: leeway.map_or(30, |leeway| leeway.as_secs()),
        keys: keys?,
    };
    if let Some(secret) = demo_secret {
        callers.demo = DemoCaller::of(&jwt, secret);
    }
    Some(jwt)
}

fn issuer(section: &mut Section<'_>, callers: &mut Callers) -> Option<String> {
    let item = section.need("issuer", "write what `iss` is in its tokens: issuer = \"https://id.example.com/\"")?;
    let issuer = item.filled()?;
    let name = callers.names.last().cloned().unwrap_or_default();
    if let Some(other) = callers.issuers.insert(issuer.to_owned(), name) {
        let help = "one issuer has one authenticator: list several keys, audiences or algorithms in that one";
        return item.refuse(format!("is that of {} too", quoted(&other)), help);
    }
    Some(issuer.to_owned())
}

fn algorithms(section: &mut Section<'_>) -> Option<Vec<Algorithm>> {
    let item = section.need("algorithms", "list what its tokens are signed with: algorithms = [\"RS256\"]")?;
    let algorithms = item.each(|item| item.word(&ALGORITHMS))?;
    let symmetric = algorithms.iter().filter(|algorithm| is_symmetric(**algorithm)).count();
    if symmetric != 0 && symmetric != algorithms.len() {
        let help = "list either HS256, HS384 and HS512, or others: a public key must never pass for a shared secret";
        return item.refuse("mixes shared secrets with public keys", help);
    }
    Some(algorithms)
}

/// Reads the one source of keys, which stands in `jwks = { … }` or beside it.
fn keys(
    section: &mut Section<'_>,
    algorithms: Option<&[Algorithm]>,
    vault: &mut Vault,
    demo_secret: &mut Option<Secret>,
) -> Option<Keys> {
    let mut sources: Vec<_> =
        ["secret", "public_key", "discovery"].into_iter().filter_map(|key| section.get(key)).collect();
    if let Some(mut jwks) = section.section("jwks") {
        let inside = ["file", "url", "secret", "public_key", "discovery"];
        sources.extend(inside.into_iter().filter_map(|key| jwks.get(key)));
        jwks.finish();
    }
    let help = "write secret = { env = \"NAME\" }, public_key = \"key.pem\" or jwks = { file = \"jwks.json\" }";
    if sources.is_empty() {
        section.file.missing(&section.span, format!("{} has no keys to verify tokens with", section.title), help);
    }
    for extra in sources.iter().skip(1) {
        let message = format!("`{}` is a second source of keys", extra.name);
        extra.file.mistake(&extra.key, message, "leave one: one authenticator has one source of keys");
    }
    let mut keys: Vec<_> = sources.iter().map(|item| source(item, algorithms, vault, demo_secret)).collect();
    keys.pop().flatten()
}

fn source(
    item: &Item<'_>,
    algorithms: Option<&[Algorithm]>,
    vault: &mut Vault,
    demo_secret: &mut Option<Secret>,
) -> Option<Keys> {
    match item.name {
        "secret" => shared(item, algorithms, vault, demo_secret),
        "public_key" => public(item, algorithms, vault, Keys::pem),
        "file" => public(item, algorithms, vault, Keys::jwks),
        "url" => {
            later::url(item)?;
            later::refuse(item.file, &item.key, "a key set by `url`");
            None
        }
        _ if item.boolean()? => {
            later::refuse(item.file, &item.key, "`discovery`");
            None
        }
        _ => item.refuse("can only be true", "leave it out"),
    }
}

fn shared(
    item: &Item<'_>,
    algorithms: Option<&[Algorithm]>,
    vault: &mut Vault,
    demo_secret: &mut Option<Secret>,
) -> Option<Keys> {
    let secrets = vault.secrets(item);
    let algorithms = algorithms?;
    if !algorithms.iter().all(|algorithm| is_symmetric(*algorithm)) {
        let message = "a shared secret can't verify these `algorithms`";
        item.file.mistake(&item.key, message, "write `public_key` or `jwks` for them, or algorithms = [\"HS256\"]");
        return None;
    }
    let secrets = secrets?;
    *demo_secret = secrets.iter().find(|secret| demo::is_caller(secret)).cloned();
    match Keys::secrets(&secrets, algorithms) {
        Ok(keys) => Some(keys),
        Err(flaw) => {
            let help = "make a new one of random bytes: openssl rand -hex 32";
            item.file.mistake(&item.key, format!("`secret` can't be used: {flaw}"), help);
            None
        }
    }
}

fn public(
    item: &Item<'_>,
    algorithms: Option<&[Algorithm]>,
    vault: &Vault,
    read: fn(&[u8], &[Algorithm]) -> Result<Keys, String>,
) -> Option<Keys> {
    let name = item.filled()?;
    let algorithms = algorithms?;
    if algorithms.iter().any(|algorithm| is_symmetric(*algorithm)) {
        return item.refuse(
            "can't verify these `algorithms`, which need a shared secret",
            "write secret = { env = \"NAME\" }",
        );
    }
    let bytes = match std::fs::read(vault.dir.join(name)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let flaw = format!("names {}, {}", quoted(name), unread(&error));
            return item.refuse(flaw, "write the path of a file that is there, relative to this file's directory");
        }
    };
    match read(&bytes, algorithms) {
        Ok(keys) => Some(keys),
        Err(flaw) => item.refuse(format!("names {}, which can't be used: {flaw}", quoted(name)), "replace that file"),
    }
}

/// What stands before every subject. Might be empty.
fn prefix<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text()?;
    if text.chars().any(char::is_control) || text.chars().count() > 64 || text.trim_start() != text {
        return item.refuse(
            "can't start a user's id",
            "use at most 64 characters, without control characters or leading space",
        );
    }
    Some(text)
}

/// The strongest role that these callers' tokens can give.
fn max_role(section: &mut Section<'_>, ladder: &Ladder, roles: Option<&Item<'_>>) -> Option<Role> {
    let Some(item) = section.get("max_role") else {
        if let Some(roles) = roles {
            let message = format!("`{}` counts for nothing without `max_role`", roles.name);
            let help = "add max_role = \"…\", the strongest role that these tokens may give";
            section.file.warning(&roles.key, message, help);
        }
        return None;
    };
    ladder.role(item.one_of("one of the policy's roles", ladder.words())?)
}

fn api_key(section: &mut Section<'_>, common: Option<Common>, callers: &mut Callers) -> Option<ApiKey> {
    let header =
        section.get("header").map_or(Some(http::HeaderName::from_static("x-api-key")), |item| key_header(&item));
    let help = "list them: keys = [{ id = \"orders\", sha256 = \"…\" }]; `chat-signer hash-key` makes them";
    let items = section.need("keys", help).and_then(|item| item.list())?;
    let keys: Vec<_> = items.iter().map(|item| key(item, callers)).collect();
    Some(ApiKey { common: common?, header: header?, keys: keys.into_iter().collect::<Option<_>>()? })
}

/// A header that may hold an API key: one that nothing else is read from.
fn key_header(item: &Item<'_>) -> Option<http::HeaderName> {
    const TAKEN: [&str; 19] = [
        "accept",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-lc-session",
        "x-request-id",
    ];
    let name = header(item)?;
    let taken =
        TAKEN.contains(&name.as_str()) || ["sec-", "x-forwarded-"].iter().any(|start| name.as_str().starts_with(start));
    if taken {
        return item.refuse(
            format!("can't be {}, which has a meaning of its own", quoted(name.as_str())),
            "write \"x-api-key\"",
        );
    }
    Some(name)
}

fn key(item: &Item<'_>, callers: &mut Callers) -> Option<(String, [u8; 32])> {
    let mut section = item.section("an API key".to_owned())?;
    let id = section
        .need("id", "name whose it is: { id = \"orders\", sha256 = \"…\" }")
        .and_then(|item| key_id(&item, callers));
    let hash = section.need("sha256", "write the key's SHA-256 in hex; `chat-signer hash-key` makes both");
    let hash = hash.and_then(|item| key_hash(&item, callers));
    section.finish();
    Some((id?, hash?))
}

fn key_id(item: &Item<'_>, callers: &mut Callers) -> Option<String> {
    const HELP: &str = "write whose key it is, as rules and logs are to name it";
    let id = item.text()?;
    if let Err(flaw) = check_identifier(id, 255) {
        return item.refuse(flaw.to_string(), HELP);
    }
    if id == "*" {
        return item.refuse("can't be \"*\"", HELP);
    }
    if !callers.key_ids.insert(id.to_owned()) {
        return item.refuse(format!("is {} for another key too", quoted(id)), "give each key an id of its own");
    }
    Some(id.to_owned())
}

/// The hash of a key. What stands in its place may be the key itself, so it isn't shown.
fn key_hash(item: &Item<'_>, callers: &mut Callers) -> Option<[u8; 32]> {
    let text = item.text()?;
    let mut hash = [0; 32];
    if hex::decode_to_slice(text, &mut hash).is_err() {
        item.file.hide_if_guarded(&item.span);
        let help = "write 64 hex digits; `chat-signer hash-key` makes a key and its hash";
        item.file.mistake(&item.key, "`sha256` is not a SHA-256 in hex", help);
        return None;
    }
    if !callers.key_hashes.insert(hash) {
        return item.refuse("is that of another key too", "make each caller a key of its own");
    }
    if demo::is_api_key(&hash) {
        callers.demo_key = Some(item.key.clone());
    }
    Some(hash)
}

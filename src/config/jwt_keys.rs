//! The algorithms and the keys of `type = "jwt"`: shared secrets, public keys in files, and keys that are fetched.

use super::authenticator_context::AuthenticatorContext;
use super::demo;
use super::endpoint;
use super::key_set::{JwtOwner, KeySetOptions, KeySetOwner};
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::signing::SigningSecret;
use crate::authn::{ALGORITHMS, Algorithm, KeySource, VerificationKeys, is_public_key, is_symmetric};
use crate::secret::Secret;

const NEW_SECRET: &str = "make a new one of random bytes: openssl rand -hex 32";

/// The keys of an authenticator.
pub(super) struct JwtKeys {
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: KeySource,
    /// The shared secrets, if `keys` are public keys.
    pub(super) shared_secrets: Option<VerificationKeys>,
    /// The values of the shared secrets.
    pub(super) secrets: Vec<Secret>,
}

/// Reads `algorithms` and the sources of keys: shared secrets, public keys, or one source of each kind.
pub(super) fn jwt_keys(
    section: &mut Section<'_>,
    owner: JwtOwner<'_>,
    context: &mut AuthenticatorContext<'_>,
) -> Option<JwtKeys> {
    let list = section.require("algorithms", "list the algorithms of its tokens: algorithms = [\"RS256\"]");
    let algorithms = list.as_ref().and_then(|item| item.read_unique_list(|item| item.keyword(&ALGORITHMS)));
    let (sources, fetching) = sources(section, context.secrets);
    let (shared, public): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.kind == SourceKind::Secret);
    report_sources(section, &shared, &public);
    let has_both = !shared.is_empty() && !public.is_empty();
    let (symmetric, asymmetric) = match (&algorithms, &list) {
        (Some(all), Some(list)) => split_algorithms(list, all, has_both),
        _ => (None, None),
    };
    let shared = shared.first().map(|source| &source.item);
    let secrets = shared.and_then(|item| context.secrets.signing_secrets(item));
    if let (Some(item), Some(secrets)) = (shared, &secrets) {
        check_and_record_secrets(item, secrets, owner, context.secrets);
    }
    let shared_keys = shared.map(|item| shared_secret_keys(item, symmetric.as_deref(), secrets.as_deref()));
    let key_set_owner = KeySetOwner { jwt: owner, algorithms: asymmetric.as_deref() };
    let public_keys: Vec<_> =
        public.iter().map(|item| source(item, key_set_owner, &fetching, context.secrets)).collect();
    if let (Some(item), Some(secrets)) = (shared, &secrets) {
        report_public_keys(item, secrets, &public_keys);
    }
    let (keys, shared_secrets) = match (public_keys.into_iter().next(), shared_keys) {
        (Some(public), None) => (public?, None),
        (None, Some(shared)) => (KeySource::Fixed(shared?), None),
        (Some(public), Some(shared)) => (public?, Some(shared?)),
        (None, None) => return None,
    };
    Some(JwtKeys { algorithms: algorithms?, keys, shared_secrets, secrets: secrets.unwrap_or_default() })
}

/// Returns the symmetric and the other algorithms. An empty list has no meaning: without keys of both kinds, all
/// algorithms are of one kind.
fn split_algorithms(
    list: &ConfigItem<'_>,
    all: &[Algorithm],
    has_both: bool,
) -> (Option<Vec<Algorithm>>, Option<Vec<Algorithm>>) {
    let (symmetric, asymmetric): (Vec<_>, Vec<_>) = all.iter().partition(|algorithm| is_symmetric(**algorithm));
    match (has_both, symmetric.is_empty(), asymmetric.is_empty()) {
        (true, false, false) => (Some(symmetric), Some(asymmetric)),
        (true, ..) => {
            let help = "list an algorithm for each: HS256, HS384 or HS512 for `secret`, and others for public keys";
            list.mistake::<()>("has no algorithm for one of the two sources of keys", help);
            (None, None)
        }
        (false, false, false) => {
            let help = "list either HS256, HS384 and HS512, or only other algorithms, or write both `secret` and public keys: a public key must never be used as a shared secret";
            list.mistake::<()>("mixes shared secrets with public keys", help);
            (None, None)
        }
        (false, ..) => (Some(all.to_vec()), Some(all.to_vec())),
    }
}

/// A source of keys in the file.
struct ConfiguredSource<'a> {
    kind: SourceKind,
    item: ConfigItem<'a>,
}

/// The kinds of sources of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceKind {
    Secret,
    PublicKey,
    File,
    Url,
    Discovery,
}

impl SourceKind {
    /// The kinds that can stand outside `jwks = { … }`.
    const OUTSIDE: [SourceKind; 3] = [SourceKind::Secret, SourceKind::PublicKey, SourceKind::Discovery];
    const ALL: [SourceKind; 5] =
        [SourceKind::File, SourceKind::Url, SourceKind::Secret, SourceKind::PublicKey, SourceKind::Discovery];

    /// Returns the key in the file.
    fn key(self) -> &'static str {
        match self {
            SourceKind::Secret => "secret",
            SourceKind::PublicKey => "public_key",
            SourceKind::File => "file",
            SourceKind::Url => "url",
            SourceKind::Discovery => "discovery",
        }
    }

    /// Returns the source of this kind in a section, if the section has it.
    fn find<'a>(self, section: &mut Section<'a>) -> Option<ConfiguredSource<'a>> {
        section.get(self.key()).map(|item| ConfiguredSource { kind: self, item })
    }
}

/// Returns all sources of keys, inside or outside `jwks = { … }`, and the settings of a fetch.
fn sources<'a>(
    section: &mut Section<'a>,
    vault: &mut SecretResolver,
) -> (Vec<ConfiguredSource<'a>>, KeySetOptions<'a>) {
    let mut sources: Vec<_> = SourceKind::OUTSIDE.into_iter().filter_map(|kind| kind.find(section)).collect();
    let mut fetching = KeySetOptions::with_proxy(vault.proxy.clone());
    if let Some(mut jwks) = section.section("jwks") {
        sources.extend(SourceKind::ALL.into_iter().filter_map(|kind| kind.find(&mut jwks)));
        fetching = KeySetOptions::read(&mut jwks, vault);
        jwks.report_unknown_keys();
    }
    if !sources.iter().any(|source| matches!(source.kind, SourceKind::Url | SourceKind::Discovery)) {
        fetching.refuse_all();
    }
    (sources, fetching)
}

/// Notes a mistake if there is no source of keys, or more than one of a kind.
fn report_sources(section: &Section<'_>, shared: &[&ConfiguredSource<'_>], public: &[&ConfiguredSource<'_>]) {
    if shared.is_empty() && public.is_empty() {
        let help = "write secret = { env = \"NAME\" }, public_key = \"key.pem\" or jwks = { url = \"https://…\" }";
        section.file.missing(&section.span, format!("{} has no keys to verify tokens with", section.title), help);
    }
    for ConfiguredSource { item: extra, .. } in shared.iter().skip(1).chain(public.iter().skip(1)) {
        let message = format!("`{}` is a second source of keys", extra.name);
        let help = "keep one: an authenticator has one source of public keys, and one list of shared secrets";
        extra.file.mistake(&extra.key, message, help);
    }
}

fn source<'a>(
    ConfiguredSource { kind, item }: &ConfiguredSource<'a>,
    owner: KeySetOwner<'_>,
    fetching: &KeySetOptions<'a>,
    vault: &SecretResolver,
) -> Option<KeySource> {
    let from_file = |read| public_keys(item, owner.algorithms, vault, read).map(KeySource::Fixed);
    match kind {
        // A shared secret is not a source of public keys.
        SourceKind::Secret => None,
        SourceKind::PublicKey => from_file(VerificationKeys::from_pem_file),
        SourceKind::File => from_file(VerificationKeys::from_jwks_file),
        SourceKind::Url => fetching.by_url(item, owner),
        SourceKind::Discovery => fetching.by_discovery(item, owner),
    }
}

fn shared_secret_keys(
    item: &ConfigItem<'_>,
    algorithms: Option<&[Algorithm]>,
    secrets: Option<&[Secret]>,
) -> Option<VerificationKeys> {
    let algorithms = algorithms?;
    if !algorithms.iter().all(|algorithm| is_symmetric(*algorithm)) {
        let message = "a shared secret can't verify these `algorithms`";
        item.file.mistake(&item.key, message, "write `public_key` or `jwks` for them, or algorithms = [\"HS256\"]");
        return None;
    }
    match VerificationKeys::from_secrets(secrets?, algorithms) {
        Ok(keys) => Some(keys),
        Err(flaw) => {
            item.file.mistake(&item.key, format!("`secret` can't be used: {flaw}"), NEW_SECRET);
            None
        }
    }
}

/// Notes a mistake if a secret is a public key.
fn report_public_keys(item: &ConfigItem<'_>, secrets: &[Secret], public_keys: &[Option<KeySource>]) {
    let keys = match public_keys.first() {
        Some(Some(KeySource::Fixed(keys))) => Some(keys),
        Some(Some(KeySource::Fetched(_) | KeySource::PerTenant(_)) | None) | None => None,
    };
    if secrets.iter().any(|secret| is_public_key(secret.expose(), keys)) {
        let message = "`secret` is a public key, a certificate or a key file: anyone who knows it can make tokens";
        item.file.mistake(&item.key, message, NEW_SECRET);
    }
}

/// Checks that nothing else is signed with these secrets, or with secrets
/// that make the same signatures. Otherwise, a party that knows one could sign for both. The public secret of the
/// demonstration is not checked here.
fn check_and_record_secrets(
    item: &ConfigItem<'_>,
    secrets: &[Secret],
    owner: JwtOwner<'_>,
    vault: &mut SecretResolver,
) {
    let place = &item.key;
    let own = |secret: &&Secret| !demo::is_demo_caller_secret(secret);
    if let Some(other) =
        secrets.iter().filter(own).find_map(|secret| vault.owner_signing_with(secret.expose(), owner.issuer))
    {
        let message = format!("`secret` is also the secret of {other}, so each can sign as the other");
        item.file.conflict(place, message, NEW_SECRET);
    }
    let name = owner.common.map_or("another authenticator".to_owned(), |common| quoted(&common.name));
    let signing = |secret: &Secret| SigningSecret {
        issuer: owner.issuer.cloned(),
        ..SigningSecret::new(secret.expose(), &name, place)
    };
    vault.signing.extend(secrets.iter().map(signing));
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

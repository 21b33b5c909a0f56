//! Keys of `type = "jwt"` that the program fetches: `jwks = { url = … }` and `discovery = true`.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::endpoint;
use super::reader::{ConfigItem, Section};
use super::secret::SecretResolver;
use crate::authn::{Algorithm, BearerToken, Common, Endpoint, KeySet, KeySource, is_symmetric, is_trustworthy};

/// The default time for which the last good keys stay in use after fetches fail.
const DEFAULT_STALE_IF_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings of the fetch, for `url` and `discovery`.
#[derive(Default)]
pub(super) struct KeySetOptions<'a> {
    authorities: Vec<Vec<u8>>,
    bearer: Option<BearerToken>,
    stale_if_error: Option<Duration>,
    /// Those of these keys that the file has.
    given: Vec<ConfigItem<'a>>,
}

/// The settings of the authenticator that fetches the keys, as far as they are valid.
#[derive(Clone, Copy)]
pub(super) struct KeySetOwner<'o> {
    pub(super) common: Option<&'o Common>,
    pub(super) issuer: Option<&'o str>,
    pub(super) algorithms: Option<&'o [Algorithm]>,
}

impl<'a> KeySetOptions<'a> {
    /// Reads the keys that belong to `url` or `discovery`.
    pub(super) fn read(jwks: &mut Section<'a>, vault: &mut SecretResolver) -> KeySetOptions<'a> {
        KeySetOptions {
            given: ["ca", "bearer", "stale_if_error"].into_iter().filter_map(|key| jwks.get(key)).collect(),
            authorities: endpoint::authorities(jwks, vault),
            bearer: endpoint::bearer(jwks, vault),
            stale_if_error: jwks.get("stale_if_error").and_then(|item| item.duration("0s", "30d")),
        }
    }

    /// Notes a mistake for each of these settings, because the keys are not fetched.
    pub(super) fn refuse_all(&self) {
        for item in &self.given {
            let help = "leave it out, or write `url` or `discovery = true` beside it";
            item.mistake::<()>("is only for keys that are fetched", help);
        }
    }

    /// Returns the key set at the address in `item`.
    pub(super) fn by_url(&self, item: &ConfigItem<'a>, owner: KeySetOwner<'_>) -> Option<KeySource> {
        let url = endpoint::url(item);
        self.source(item, url?, None, owner)
    }

    /// Returns the key set that the metadata of the issuer name. `item` must be true.
    pub(super) fn by_discovery(&self, item: &ConfigItem<'a>, owner: KeySetOwner<'_>) -> Option<KeySource> {
        if !item.boolean()? {
            return item.mistake("can only be true", "leave it out");
        }
        let issuer = owner.issuer?;
        let metadata = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        match metadata.parse::<Uri>().ok().filter(is_trustworthy) {
            Some(url) => self.source(item, url, Some(issuer.to_owned()), owner),
            None => item
                .mistake("needs an `issuer` that is an https address", "write jwks = { url = \"https://…\" } instead"),
        }
    }

    fn source(
        &self,
        item: &ConfigItem<'a>,
        url: Uri,
        discovery: Option<String>,
        owner: KeySetOwner<'_>,
    ) -> Option<KeySource> {
        let algorithms = owner.algorithms?;
        if algorithms.iter().any(|algorithm| is_symmetric(*algorithm)) {
            let help = "write secret = { env = \"NAME\" }";
            return item.mistake("can't verify these `algorithms`, which need a shared secret", help);
        }
        let endpoint = Endpoint { url, authorities: self.authorities.clone(), bearer: self.bearer.clone() };
        let stale_if_error = self.stale_if_error.unwrap_or(DEFAULT_STALE_IF_ERROR);
        let name = owner.common?.name.clone();
        let set = KeySet::new(name, endpoint, discovery, algorithms.to_vec(), stale_if_error);
        Some(KeySource::Fetched(Arc::new(set)))
    }
}

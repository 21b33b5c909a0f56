//! Keys of `type = "jwt"` that the program fetches: `jwks = { url = … }` and `discovery = true`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

use super::endpoint;
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::text;
use crate::authn::{
    Algorithm, BearerToken, Common, Endpoint, HttpsProxy, Issuer, KeySet, KeySetConfig, KeySource, TENANT_PLACEHOLDER,
    is_symmetric,
};

/// The default time for which the last good keys stay in use after fetches fail.
const DEFAULT_STALE_IF_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

const ANY_TENANT_HELP: &str =
    "list the `tenants`, or write the address of keys that all tenants share: jwks = { url = \"https://…\" }";

/// Settings of the fetch, for `url` and `discovery`.
#[derive(Default)]
pub(super) struct KeySetOptions<'a> {
    authorities: Vec<Vec<u8>>,
    bearer: Option<BearerToken>,
    stale_if_error: Option<Duration>,
    is_optional: bool,
    plain_http_host: Option<String>,
    proxy: Option<HttpsProxy>,
    /// Those of these keys that the file has.
    given: Vec<ConfigItem<'a>>,
}

/// The settings of the authenticator that has the keys, as far as they are valid.
#[derive(Clone, Copy)]
pub(super) struct JwtOwner<'o> {
    pub(super) common: Option<&'o Common>,
    pub(super) issuer: Option<&'o Issuer>,
}

/// The settings of the authenticator that fetches the keys, as far as they are valid.
#[derive(Clone, Copy)]
pub(super) struct KeySetOwner<'o> {
    pub(super) jwt: JwtOwner<'o>,
    pub(super) algorithms: Option<&'o [Algorithm]>,
}

impl<'a> KeySetOptions<'a> {
    /// Returns the options of a set without settings of its own.
    pub(super) fn with_proxy(proxy: Option<HttpsProxy>) -> KeySetOptions<'a> {
        KeySetOptions { proxy, ..KeySetOptions::default() }
    }

    /// Reads the keys that belong to `url` or `discovery`.
    pub(super) fn read(jwks: &mut Section<'a>, vault: &mut SecretResolver) -> KeySetOptions<'a> {
        let keys = ["ca", "bearer", "stale_if_error", "optional", "plain_http"];
        let options = KeySetOptions {
            given: keys.into_iter().filter_map(|key| jwks.get(key)).collect(),
            proxy: vault.proxy.clone(),
            authorities: endpoint::authorities(jwks, vault),
            bearer: endpoint::bearer(jwks, vault),
            stale_if_error: jwks.get("stale_if_error").and_then(|item| item.duration("0s", "30d")),
            is_optional: jwks.get("optional").and_then(|item| item.boolean()).unwrap_or(false),
            plain_http_host: jwks.get("plain_http").and_then(|item| text::host(&item)),
        };
        if let (Some(item), Some(_)) = (jwks.get("plain_http"), &options.bearer) {
            let help = "leave one out: without TLS, others in the network could read the token";
            item.mistake::<()>("can't stand beside `bearer`", help);
        }
        options
    }

    /// Notes a mistake for each of these settings, because the keys are not fetched.
    pub(super) fn refuse_all(&self) {
        for item in &self.given {
            let help = "leave it out, or write `url` or `discovery = true` beside it";
            item.mistake::<()>("is only for keys that are fetched", help);
        }
    }

    /// Returns the key set at the address in `item`, or the key sets of all tenants at their addresses.
    pub(super) fn by_url(&self, item: &ConfigItem<'a>, owner: KeySetOwner<'_>) -> Option<KeySource> {
        let text = item.non_empty_text()?;
        if !text.contains(TENANT_PLACEHOLDER) {
            let url = self.check_url(item, text::url_in(item, text)?)?;
            return self.key_set(item, url, None, None, owner).map(KeySource::Fetched);
        }
        let url = |tenant: &str| self.check_url(item, text::url_in(item, &text.replace(TENANT_PLACEHOLDER, tenant))?);
        self.per_tenant(item, owner, |tenant, _| Some((url(tenant)?, None)))
    }

    /// Returns the key set that the metadata of the issuer name. `item` must be true.
    pub(super) fn by_discovery(&self, item: &ConfigItem<'a>, owner: KeySetOwner<'_>) -> Option<KeySource> {
        if !item.boolean()? {
            return item.mistake("can only be true", "leave it out");
        }
        match owner.jwt.issuer? {
            Issuer::Exact(issuer) => {
                let url = self.metadata_url(item, issuer)?;
                self.key_set(item, url, Some(issuer.clone()), None, owner).map(KeySource::Fetched)
            }
            Issuer::PerTenant { .. } => self
                .per_tenant(item, owner, |_, issuer| Some((self.metadata_url(item, issuer)?, Some(issuer.to_owned())))),
        }
    }

    /// Returns a key set for each tenant. `locate` returns the URL for a tenant and its issuer, and the issuer if the
    /// URL is that of its metadata.
    fn per_tenant(
        &self,
        item: &ConfigItem<'a>,
        owner: KeySetOwner<'_>,
        locate: impl Fn(&str, &str) -> Option<(Uri, Option<String>)>,
    ) -> Option<KeySource> {
        let (before, after, tenants) = match owner.jwt.issuer? {
            Issuer::PerTenant { before, after, tenants: Some(tenants) } => (before, after, tenants),
            Issuer::PerTenant { tenants: None, .. } => {
                return item.mistake("can't fetch the keys of any tenant", ANY_TENANT_HELP);
            }
            Issuer::Exact(_) => {
                return item.mistake("has `{tenant}`, but `issuer` has none", "write the address without `{tenant}`");
            }
        };
        let mut sets = BTreeMap::new();
        for tenant in tenants {
            let (url, discovery) = locate(tenant, &format!("{before}{tenant}{after}"))?;
            sets.insert(tenant.clone(), self.key_set(item, url, discovery, Some(tenant), owner)?);
        }
        Some(KeySource::PerTenant(sets))
    }

    fn metadata_url(&self, item: &ConfigItem<'a>, issuer: &str) -> Option<Uri> {
        let metadata = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        match metadata.parse::<Uri>().ok().filter(|url| self.endpoint(url.clone()).may_ask(url)) {
            Some(url) => self.check_url(item, url),
            None => item
                .mistake("needs an `issuer` that is an https address", "write jwks = { url = \"https://…\" } instead"),
        }
    }

    /// Checks that the program may ask this URL, and that `plain_http` names its host.
    fn check_url(&self, item: &ConfigItem<'a>, url: Uri) -> Option<Uri> {
        if !self.endpoint(url.clone()).may_ask(&url) {
            let help = "write https://, a host and a path; inside a cluster, plain_http = \"HOST\" beside it accepts http:// for this host";
            return item.mistake("must use HTTPS, except on this machine", help);
        }
        match &self.plain_http_host {
            Some(host) if url.scheme() != Some(&Scheme::HTTP) || url.host() != Some(host) => {
                let help = "leave `plain_http` out, or write an http:// address of that host";
                item.mistake(format!("is not an http address of the host {} in `plain_http`", quoted(host)), help)
            }
            _ => Some(url),
        }
    }

    fn endpoint(&self, url: Uri) -> Endpoint {
        Endpoint {
            authorities: self.authorities.clone(),
            bearer: self.bearer.clone(),
            plain_http_host: self.plain_http_host.clone(),
            proxy: self.proxy.clone(),
            ..Endpoint::new(url)
        }
    }

    fn key_set(
        &self,
        item: &ConfigItem<'a>,
        url: Uri,
        discovery: Option<String>,
        tenant: Option<&str>,
        owner: KeySetOwner<'_>,
    ) -> Option<Arc<KeySet>> {
        let algorithms = owner.algorithms?;
        if algorithms.iter().any(|algorithm| is_symmetric(*algorithm)) {
            let help = "write secret = { env = \"NAME\" }";
            return item.mistake("can't verify these `algorithms`, which need a shared secret", help);
        }
        let name = &owner.jwt.common?.name;
        Some(Arc::new(KeySet::new(KeySetConfig {
            name: tenant.map_or_else(|| Arc::clone(name), |tenant| format!("{name}/{tenant}").into()),
            endpoint: self.endpoint(url),
            discovery,
            algorithms: algorithms.to_vec(),
            stale_if_error: self.stale_if_error.unwrap_or(DEFAULT_STALE_IF_ERROR),
            is_optional: self.is_optional,
        })))
    }
}

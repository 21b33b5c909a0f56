//! `[apps.*]` with `vendor = "centrifugo"`.

use std::sync::Arc;

use super::{AppSection, VendorConfig};
use crate::crypto::signing_key::TokenAlgorithm;
use crate::vendor::{App, centrifugo};

const SECRET_KEY: &str = "secret";

pub(super) static CONFIG: VendorConfig =
    VendorConfig { secret_key: SECRET_KEY, app: |section| app(section).map(App::Centrifugo), enforcement: None };

fn app(section: &mut AppSection<'_, '_>) -> Option<centrifugo::App> {
    let keys = section.signing_keys(&[TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256]);
    let ttl = section.ttl("1m", "365d", "24h");
    let info_claims = section.claim_names("info_claims");
    let (algorithm, keys) = keys?;
    Some(centrifugo::App::new(Arc::from(section.name), algorithm, keys, ttl?, info_claims))
}

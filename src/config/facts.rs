//! `[facts]`: the server that knows the members and roles of conversations.

use std::sync::Arc;
use std::time::Duration;

use super::apps::ConfiguredApps;
use super::endpoint;
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::vendors::leancloud;
use crate::authn::Endpoint;
use crate::engine::{FactsProtocol, FactsProvider};
use crate::model::RoleHierarchy;
use crate::secret::Secret;

/// The default lifetime of an answer in the cache.
const DEFAULT_CACHE_TTL: Duration = Duration::from_secs(5);

/// The roles that LeanCloud reports.
const LEANCLOUD_ROLES: [&str; 3] = ["member", "manager", "owner"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum FactsType {
    Http,
    LeanCloud,
}

const TYPES: [(&str, FactsType); 2] = [("http", FactsType::Http), ("leancloud", FactsType::LeanCloud)];

/// Reads the section, if the file has it.
pub(super) fn facts(
    root: &mut Section<'_>,
    apps: &ConfiguredApps,
    role_hierarchy: &RoleHierarchy,
    vault: &mut SecretResolver,
) -> Option<Arc<FactsProvider>> {
    let mut section = root.section("facts")?;
    let _part = section.file.enter("facts");
    let item = section.get("type");
    let Some(kind) = item.as_ref().map_or(Some(FactsType::Http), |item| item.keyword(&TYPES)) else {
        section.hide_unread_values();
        return None;
    };
    item.filter(|_| kind == FactsType::LeanCloud).iter().for_each(|item| roles(item, role_hierarchy));
    let source = match kind {
        FactsType::Http => http(&mut section, apps, role_hierarchy, vault),
        FactsType::LeanCloud => leancloud_facts(&mut section, apps, role_hierarchy, vault),
    };
    section.report_unknown_keys();
    source.map(Arc::new)
}

fn http(
    section: &mut Section<'_>,
    apps: &ConfiguredApps,
    role_hierarchy: &RoleHierarchy,
    vault: &mut SecretResolver,
) -> Option<FactsProvider> {
    let url = section.require("url", "write the address of the facts server: url = \"https://…\"");
    let url = url.and_then(|item| endpoint::url(&item));
    let authorities = endpoint::authorities(section, vault);
    let bearer = section.get("bearer").map(|item| vault.bearer(&item));
    let apps = section.get("apps").map(|item| item.known_words("a configured app", &apps.names));
    let ttl = cache(section);
    let bearer = bearer.map_or(Some(None), |bearer| bearer.map(Some))?;
    let endpoint = Endpoint { authorities, bearer, proxy: vault.proxy.clone(), ..Endpoint::new(url?) };
    let apps = apps.map_or(Some(None), |apps| apps.map(Some))?;
    let (protocol, hierarchy) = (FactsProtocol::Http, role_hierarchy.clone());
    Some(FactsProvider { endpoint, protocol, apps, hierarchy, ttl: ttl? })
}

fn leancloud_facts(
    section: &mut Section<'_>,
    apps: &ConfiguredApps,
    role_hierarchy: &RoleHierarchy,
    vault: &mut SecretResolver,
) -> Option<FactsProvider> {
    let app = section.require("app", "write which LeanCloud app's conversations these are");
    let app = app.and_then(|item| {
        let name = item.known_word("a configured LeanCloud app", &leancloud::app_names(&apps.vendors))?;
        Some((name, leancloud::app_id(&apps.valid, name)?, master_key(&item, apps, name)?))
    });
    let url = section.require("url", "write the app's API address: url = \"https://…\"");
    let url = url.and_then(|item| endpoint::api(&item, ""));
    let authorities = endpoint::authorities(section, vault);
    let ttl = cache(section);
    let (name, app_id, master_key) = app?;
    let endpoint = Endpoint { authorities, proxy: vault.proxy.clone(), ..Endpoint::new(url?) };
    let (protocol, apps) = (FactsProtocol::LeanCloud { app_id, master_key }, Some(vec![name.to_owned()]));
    Some(FactsProvider { endpoint, protocol, apps, hierarchy: role_hierarchy.clone(), ttl: ttl? })
}

fn cache(section: &mut Section<'_>) -> Option<Duration> {
    section.get("cache").map_or(Some(DEFAULT_CACHE_TTL), |item| item.duration("0s", "1h"))
}

/// Returns the key for the requests to LeanCloud.
fn master_key(item: &ConfigItem<'_>, apps: &ConfiguredApps, name: &str) -> Option<Secret> {
    let (_, keys) = apps.secrets.iter().find(|(app, _)| app == name)?;
    let key = keys.first()?;
    if leancloud::fits_header(key) {
        return Some(key.clone());
    }
    let flaw = format!("names {}, whose `master_key` can't be sent in a header", quoted(name));
    item.mistake(flaw, "copy the Master Key from the console: it has only ASCII characters and no white space")
}

/// Checks that the policy has the roles that LeanCloud reports. If the policy has no roles at all, another check has
/// noted that.
fn roles(item: &ConfigItem<'_>, role_hierarchy: &RoleHierarchy) {
    let missing = LEANCLOUD_ROLES
        .into_iter()
        .filter(|word| !role_hierarchy.names().is_empty() && role_hierarchy.find(word).is_none());
    for word in missing {
        let flaw = format!("needs the role \"{word}\", which the policy does not list");
        item.mistake::<()>(
            flaw,
            "list \"member\", \"manager\" and \"owner\" in the policy's `roles`: LeanCloud reports these",
        );
    }
}

//! The names in the configuration that the page offers: apps, callers, roles, people and conversations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::authn::{ApiKey, Authenticator, Jwt};
use crate::config::{DemoCaller, Settings, demo_api_key};
use crate::policy::PolicyEntries;
use crate::vendor::{App, Operation};

/// The maximum number of people and of conversations that are offered.
const MAX_NAMES: usize = 200;

/// Returns all names.
pub(super) fn choices(settings: &Settings, demo: &DemoCaller) -> Value {
    let document = settings.engine.policy.document();
    let all = settings.engine.authenticators.all();
    json!({
        "apps": settings.engine.apps.iter().map(app).collect::<Value>(),
        "callers": all.iter().flat_map(|one| callers(one, demo)).collect::<Value>(),
        "roles": document.role_hierarchy.names(),
        "people": user_names(&document.entries),
        "conversations": conversations(&document.entries),
    })
}

fn app(app: &App) -> Value {
    let vendor = app.vendor();
    json!({ "name": &**app.name(), "vendor": vendor.as_str(), "operations": Operation::names(vendor) })
}

/// Returns the callers that the page can take by this authenticator: any user with a token of the demonstration, or the
/// owner of a public API key.
fn callers(authenticator: &Authenticator, demo: &DemoCaller) -> Vec<Value> {
    let name = &*authenticator.common().name;
    let kind = authenticator.common().kind.as_str();
    match authenticator {
        Authenticator::Jwt(Jwt { issuer, role_hierarchy: ladder, max_role, .. }) if *issuer == demo.issuer => {
            let highest = max_role.map(|role| ladder.name(role));
            vec![json!({ "authenticator": name, "kind": kind, "tokens": true, "max_role": highest })]
        }
        Authenticator::ApiKey(ApiKey { header, keys, .. }) => {
            let public = keys.iter().filter_map(|(id, hash)| Some((id, demo_api_key(hash)?)));
            let caller = |(id, key): (&String, &str)| json!({ "authenticator": name, "kind": kind, "id": id, "header": header.as_str(), "key": key });
            public.map(caller).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the users that the policy names.
fn user_names(entries: &PolicyEntries) -> BTreeSet<&str> {
    let PolicyEntries { conversations, bindings, bans, mutes, blocks } = entries;
    let members = conversations.iter().flat_map(|one| one.members.iter().map(|(name, _)| name));
    let bound = bindings.iter().map(|binding| &binding.user);
    let barred = bans.iter().chain(mutes).map(|sanction| &sanction.user);
    let blocking = blocks.iter().map(|block| &block.user);
    members.chain(bound).chain(barred).chain(blocking).map(String::as_str).take(MAX_NAMES).collect()
}

fn conversations(entries: &PolicyEntries) -> Value {
    let known = entries.conversations.iter().take(MAX_NAMES);
    known.map(|one| json!({ "id": one.id, "kind": one.kind.as_str() })).collect()
}

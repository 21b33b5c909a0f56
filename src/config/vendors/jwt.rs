//! `[apps.*]` with `vendor = "jwt"`.

use std::sync::Arc;

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::{AppSection, VendorConfig};
use crate::config::reader::{ConfigItem, quoted};
use crate::config::{text, value};
use crate::crypto::signing_key::TokenAlgorithm;
use crate::model::Action;
use crate::vendor::App;
use crate::vendor::jwt::{self, CHANNEL_ACTIONS, ClaimTemplate, Preset, TokenForm, TokenId, UserAlphabet};

const SECRET_KEY: &str = "secret";

pub(super) static CONFIG: VendorConfig =
    VendorConfig { secret_key: SECRET_KEY, app: |section| app(section).map(App::Jwt), enforcement: None };

/// The claims of an app's tokens, from a preset or from the file.
struct Claims {
    template: ClaimTemplate,
    algorithms: &'static [TokenAlgorithm],
    identity: UserAlphabet,
    token_id: TokenId,
    content_type: Option<&'static str>,
    max_ttl_seconds: u64,
}

fn app(section: &mut AppSection<'_, '_>) -> Option<jwt::App> {
    let claims = claims(section);
    if claims.is_none() {
        // After a mistake, it is not known which of these keys the app has.
        let _ = ["values", "identity", "channel_action"].map(|key| section.section.get(key));
    }
    let algorithms = claims.as_ref().map_or(TokenAlgorithm::ALL.as_slice(), |claims| claims.algorithms);
    let keys = section.signing_keys(algorithms);
    let key_id = section.section.get("kid").map(|item| item.non_empty_text().map(str::to_owned));
    let needs_channel = claims.as_ref().is_some_and(|claims| claims.template.has_channel());
    let channel_action = needs_channel.then(|| channel_action(section));
    let most = claims.as_ref().map_or(DAY, |claims| claims.max_ttl_seconds);
    let most = value::show_duration(std::time::Duration::from_secs(most));
    let ttl = section.ttl("1m", &most, &most);
    let (claims, (algorithm, keys)) = (claims?, keys?);
    let form = TokenForm {
        algorithm,
        key_id: key_id.map_or(Some(None), |id| id.map(Some))?,
        content_type: claims.content_type,
        token_id: claims.token_id,
        identity: claims.identity,
        channel_action: channel_action.map_or(Some(None), |action| action.map(Some))?,
    };
    Some(jwt::App::new(Arc::from(section.name), keys, claims.template, form, ttl?))
}

const DAY: u64 = 86_400;

/// Reads `preset` with its values, or `claims` with `identity`.
fn claims(section: &mut AppSection<'_, '_>) -> Option<Claims> {
    const HELP: &str = "write preset = \"NAME\", or [apps.NAME.claims] with the claims of the tokens";
    let Some(item) = section.section.get("preset") else { return own_claims(section, HELP) };
    let preset = item.keyword(&Preset::ALL.map(|preset| (preset.name, preset)))?;
    let values = preset_values(section, preset)?;
    let value = |name: &str| {
        values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let template = ClaimTemplate::parse(&preset.claims(&value)).ok()?;
    let Preset { algorithms, identity, token_id, content_type, max_ttl_seconds, .. } = *preset;
    Some(Claims { template, algorithms, identity, token_id, content_type, max_ttl_seconds })
}

/// Reads the values that a preset needs. They are constants, so they have no placeholder.
fn preset_values(section: &mut AppSection<'_, '_>, preset: &Preset) -> Option<Vec<(&'static str, String)>> {
    if preset.values.is_empty() {
        return Some(Vec::new());
    }
    let words = preset.values.iter().map(|(name, what)| format!("`{name}`: {what}")).collect::<Vec<_>>().join("; ");
    let item = section.section.require("values", &format!("write values = {{ … }} with {words}"))?;
    let mut values = item.section(section.section.title_below(item.name))?;
    let read = |(name, what): &(&'static str, &str)| {
        let item = values.require(name, &format!("write {what}"))?;
        let text = item.non_empty_text()?;
        text::warn_if_unchanged(&item, what);
        if text.contains(['{', '}']) {
            return item.mistake("must not have a placeholder", format!("write {what}"));
        }
        Some((*name, text.to_owned()))
    };
    let read: Vec<_> = preset.values.iter().map(read).collect();
    values.report_unknown_keys();
    read.into_iter().collect()
}

fn own_claims(section: &mut AppSection<'_, '_>, help: &str) -> Option<Claims> {
    let item = section.section.require("claims", help);
    let names = UserAlphabet::NAMES.map(|(name, _)| quoted(name)).join(", ");
    let identity = section.section.require("identity", &format!("write the alphabet of user ids: {names}"));
    let identity = identity.and_then(|item| item.keyword(&UserAlphabet::NAMES));
    let (item, algorithms, token_id) = (item?, TokenAlgorithm::ALL.as_slice(), TokenId::Random);
    let template = template(&item)?;
    Some(Claims { template, algorithms, identity: identity?, token_id, content_type: None, max_ttl_seconds: DAY })
}

fn template(item: &ConfigItem<'_>) -> Option<ClaimTemplate> {
    const UNTESTED: &str =
        "make sure that you know what each claim means to the system, and what it means if a claim is absent";
    let table = item.section(item.name.to_owned())?;
    let entries = table.entries();
    let claims = entries.iter().map(|item| Some((item.name.to_owned(), json(item, item.value)?)));
    let claims = claims.collect::<Option<Map<_, _>>>()?;
    let template = match ClaimTemplate::parse(&claims) {
        Ok(template) => template,
        Err((path, flaw)) => {
            let message = format!("the claim {} {flaw}", quoted(&path));
            item.file.mistake(&item.key, message, "write constants, {client}, {channel} and {claim:NAME}");
            return None;
        }
    };
    if !template.names_client() {
        item.file.mistake(
            &item.key,
            "no claim names the client",
            "write one with \"{client}\", such as sub = \"{client}\"",
        );
        return None;
    }
    item.file.warning(&item.key, "nobody has tested these claims with the system that reads them", UNTESTED);
    Some(template)
}

/// Converts a value of the file to JSON.
fn json(item: &ConfigItem<'_>, value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => return item.mistake("has a number that is out of range", "write a smaller number"),
        },
        DeValue::Array(list) => {
            list.iter().map(|value| json(item, value.get_ref())).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let member = |(name, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
                Some((name.get_ref().to_string(), json(item, value.get_ref())?))
            };
            table.iter().map(member).collect::<Option<Map<_, _>>>()?.into()
        }
        DeValue::Float(_) | DeValue::Datetime(_) => {
            return item
                .mistake("has a decimal or a date", "write texts, whole numbers, true or false, lists and tables");
        }
    })
}

fn channel_action(section: &mut AppSection<'_, '_>) -> Option<Action> {
    let words: Vec<_> = CHANNEL_ACTIONS.iter().map(|action| (action.as_str(), action)).collect();
    let help = "write the action that a token for a channel needs, such as \"subscribe\"";
    section.section.require("channel_action", help)?.keyword(&words)
}

//! Keys of `[[authenticators]]` for the claims of tokens, which several types have.

use toml::de::DeValue;

use super::reader::{ConfigItem, Section};
use super::rules::claim_value;
use super::text::{self, claim_name};
use crate::authn::{Audience, AudienceClaim, RequiredClaim, TokenRules, is_address_claim};

/// Reads the rules for tokens beyond a valid signature.
pub(super) fn token_rules(section: &mut Section<'_>) -> TokenRules {
    let mut flag = |key| section.get(key).and_then(|item| item.boolean()).unwrap_or(false);
    let (accept_bound, refuse_id_tokens) = (flag("accept_bound_tokens"), flag("refuse_id_tokens"));
    let max_age = section.get("max_token_age").and_then(|item| item.duration("1s", "365d"));
    TokenRules { accept_bound, max_age, refuse_id_tokens }
}

/// Reads `audience` and `audience_claim`.
pub(super) fn audience(section: &mut Section<'_>) -> Option<Audience> {
    let item = section.require("audience", "list the `aud` values of its tokens: audience = [\"chat\"]");
    let claim = section.get("audience_claim");
    read_audience(&item?, claim.as_ref())
}

/// Reads the same keys for an authenticator that can leave the audience unchecked.
pub(super) fn optional_audience(section: &mut Section<'_>) -> Option<Audience> {
    let (item, claim) = (section.get("audience"), section.get("audience_claim"));
    if let (None, Some(claim)) = (&item, &claim) {
        let help = "add audience = [\"…\"], the accepted values of this claim";
        return claim.mistake("has no effect without `audience`", help);
    }
    read_audience(&item?, claim.as_ref())
}

fn read_audience(item: &ConfigItem<'_>, claim: Option<&ConfigItem<'_>>) -> Option<Audience> {
    text::warn_if_unchanged(item, "the `aud` of its tokens");
    let accepted = item.texts();
    let claim = claim.map_or(Some(AudienceClaim::Aud), |claim| claim.keyword(&AudienceClaim::ALL));
    Some(Audience { claim: claim?, accepted: accepted? })
}

/// Reads the name of the claim that names the caller, or a list of such claims. The first with a value counts.
pub(super) fn subjects(item: &ConfigItem<'_>) -> Option<Vec<String>> {
    match item.value {
        DeValue::Array(_) => item.read_unique_list(subject),
        _ => subject(item).map(|name| vec![name]),
    }
}

fn subject(item: &ConfigItem<'_>) -> Option<String> {
    let name = claim_name(item)?;
    if is_address_claim(&name) {
        let message = "`subject` is an e-mail address or phone number: it can pass to another person, and is accepted unless the token says that it is not verified";
        item.file.warning(&item.span, message, "name a claim that never changes, such as \"sub\"");
    }
    Some(name)
}

/// Reads `required_claims`: for each claim, the accepted value or a list of them.
pub(super) fn required_claims(section: &mut Section<'_>) -> Option<Vec<RequiredClaim>> {
    const HELP: &str = "write the claims and their values: required_claims = { token_use = \"access\" }";
    let Some(item) = section.get("required_claims") else { return Some(Vec::new()) };
    let DeValue::Table(_) = item.value else { return item.wrong_type("a table", HELP) };
    let title = section.title_below("required_claims");
    let entries = item.section(title)?.entries();
    if entries.is_empty() {
        return item.mistake("must not be empty", HELP);
    }
    let read: Vec<_> = entries.iter().map(required_claim).collect();
    read.into_iter().collect()
}

fn required_claim(item: &ConfigItem<'_>) -> Option<RequiredClaim> {
    text::check_claim_name(item, item.name)?;
    let values = match item.value {
        DeValue::Array(_) => item.read_unique_list(claim_value)?,
        _ => vec![claim_value(item)?],
    };
    Some(RequiredClaim { name: item.name.to_owned(), values })
}

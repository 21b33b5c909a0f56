//! Facts from a file, in place of the facts that the server would ask for.

use std::path::Path;

use serde_json::{Map, Value};

use super::common::CommandError;
use crate::engine::{Engine, FactsQuery, parse_details};
use crate::model::{Caller, Millis, RoleHierarchy, SigningRequest, json};
use crate::policy::{ConversationDetails, ConversationFacts, EntryIndex};

/// The facts for a decision.
pub(super) struct GivenFacts {
    /// The facts about the conversations that the server would ask about.
    pub(super) facts: Vec<ConversationFacts>,
    /// The conversations that the server would ask about and that have no facts in the file.
    pub(super) missing: Vec<String>,
}

/// Reads a file with a JSON object. Each key is a conversation, and its value is the answer of the backend, or
/// `"unknown"`.
///
/// # Errors
/// Returns an error if the file cannot be read, or if it holds no JSON object.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, CommandError> {
    let stop = |flaw: String| CommandError::Invalid(format!("error: {}: {flaw}", path.display()));
    let text = std::fs::read(path).map_err(|error| stop(error.to_string()))?;
    json::parse_object(&text).map_err(|error| stop(format!("this is not a JSON object: {error}")))
}

impl GivenFacts {
    /// Selects the facts that the server would ask for.
    ///
    /// # Errors
    /// Returns a message if a fact is malformed.
    pub(super) fn select(
        facts: &Map<String, Value>,
        engine: &Engine,
        signing_request: &SigningRequest,
        caller: &Caller,
        moderation: &EntryIndex,
        at: Millis,
    ) -> Result<GivenFacts, String> {
        let role_hierarchy = &engine.policy.document().role_hierarchy;
        let told = facts.iter().map(|(conversation, value)| {
            parse_conversation_facts(conversation, value, role_hierarchy)
                .map_err(|flaw| format!("the facts about {conversation}: {flaw}"))
        });
        let mut told = told.collect::<Result<Vec<_>, _>>()?;
        let inquiries = engine.facts_queries(signing_request, caller, moderation, at);
        told.retain(|told| inquiries.iter().any(|inquiry| inquiry.conversation() == told.conversation()));
        let wanted = inquiries.iter().map(FactsQuery::conversation);
        let missing = wanted.filter(|name| !facts.contains_key(*name)).map(str::to_owned).collect();
        Ok(GivenFacts { facts: told, missing })
    }
}

/// Reads the facts about a conversation. In addition to the answer of a backend they may hold `blocked`, like
/// LeanCloud's blacklists.
fn parse_conversation_facts(
    conversation: &str,
    value: &Value,
    role_hierarchy: &RoleHierarchy,
) -> Result<ConversationFacts, String> {
    let mut object = match value {
        Value::String(word) if word == "unknown" => return Ok(ConversationFacts::missing(conversation)),
        Value::Object(object) => object.clone(),
        _ => return Err("they must be an object, or \"unknown\"".to_owned()),
    };
    let blocked = match object.remove("blocked") {
        None => Vec::new(),
        Some(users) => serde_json::from_value(users).map_err(|_| "its `blocked` must be a list of users".to_owned())?,
    };
    let details = parse_details(&object, role_hierarchy)?;
    Ok(ConversationFacts::existing(conversation, ConversationDetails { blocked, ..details }))
}

//! Facts given by hand, in place of those that the server would ask for.

use std::path::Path;

use serde_json::{Map, Value};

use super::CommandError;
use crate::engine::{Engine, FactsQuery, details};
use crate::model::{Caller, Millis, RoleHierarchy, SigningRequest, json};
use crate::policy::{ConversationDetails, ConversationFacts, EntryIndex};

/// The facts for a decision.
pub(super) struct GivenFacts {
    /// What is told of the conversations that the server would ask about.
    pub(super) told: Vec<ConversationFacts>,
    /// Those that it would ask about and nothing is told of.
    pub(super) missing: Vec<String>,
}

/// Reads a file with an object of conversations, each as the backend would tell of it, or `"unknown"`.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, CommandError> {
    let stop = |flaw: String| CommandError::Mistakes(format!("error: {}: {flaw}", path.display()));
    let text = std::fs::read(path).map_err(|error| stop(error.to_string()))?;
    json::object(&text).map_err(|error| stop(format!("this is not a JSON object: {error}")))
}

impl GivenFacts {
    /// Of these facts those that the server would ask for.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn of(
        facts: &Map<String, Value>,
        engine: &Engine,
        ask: &SigningRequest,
        caller: &Caller,
        moderation: &EntryIndex,
        at: Millis,
    ) -> Result<GivenFacts, String> {
        let ladder = &engine.policy.document().ladder;
        let told = facts.iter().map(|(conversation, value)| {
            told(conversation, value, ladder).map_err(|flaw| format!("the facts about {conversation}: {flaw}"))
        });
        let mut told = told.collect::<Result<Vec<_>, _>>()?;
        let inquiries = engine.inquiries(ask, caller, moderation, at);
        told.retain(|told| inquiries.iter().any(|inquiry| inquiry.conversation() == told.conversation()));
        let wanted = inquiries.iter().map(FactsQuery::conversation);
        let missing = wanted.filter(|name| !facts.contains_key(*name)).map(str::to_owned).collect();
        Ok(GivenFacts { told, missing })
    }
}

/// What is told of a conversation. Beside what a backend tells there may be `blocked`, as in LeanCloud's blacklists.
fn told(conversation: &str, value: &Value, ladder: &RoleHierarchy) -> Result<ConversationFacts, String> {
    let mut object = match value {
        Value::String(word) if word == "unknown" => return Ok(ConversationFacts::unknown(conversation)),
        Value::Object(object) => object.clone(),
        _ => return Err("they must be an object, or \"unknown\"".to_owned()),
    };
    let blocked = match object.remove("blocked") {
        None => Vec::new(),
        Some(users) => serde_json::from_value(users).map_err(|_| "its `blocked` must be a list of users".to_owned())?,
    };
    let details = details(&object, ladder)?;
    Ok(ConversationFacts::known(conversation, ConversationDetails { shut_out: blocked, ..details }))
}

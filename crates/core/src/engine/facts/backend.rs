//! The app's own backend as a facts server. Its answer is `{"kind": "group", "owner": "alice", "roles": {"bob":
//! "manager"}}`.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use serde_json::{Map, Value, json};

use super::provider::{FactsQuery, role};
use crate::model::{ConversationKind, Role, RoleHierarchy};
use crate::policy::{ConversationDetails, ConversationFacts};

/// Returns the request of a query.
pub(super) fn request(inquiry: &FactsQuery) -> Request<Vec<u8>> {
    let FactsQuery { source, app, vendor, conversation, users } = inquiry;
    let body = json!({ "app": &**app, "vendor": vendor.as_str(), "conversation": conversation, "users": **users });
    let mut request = Request::new(body.to_string().into_bytes());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = source.endpoint.url.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// Reads a successful answer. Unknown members, and the roles of users that the query does not name, have no effect.
pub(super) fn parse_answer(inquiry: &FactsQuery, object: &Map<String, Value>) -> Result<ConversationFacts, String> {
    let is_asked = |user: &str| inquiry.users.iter().any(|asked| asked == user);
    let details = read_details(object, &inquiry.source.hierarchy, is_asked)?;
    Ok(ConversationFacts::existing(inquiry.conversation.clone(), details))
}

/// Reads the details of a conversation that an operator wrote. `kind` and `owner` may be missing or null. Other members
/// are not allowed.
///
/// # Errors
/// Returns the flaw, in words that follow "it", for example if the policy does not know a kind or role.
pub fn parse_details(
    object: &Map<String, Value>,
    role_hierarchy: &RoleHierarchy,
) -> Result<ConversationDetails, String> {
    if let Some(other) = object.keys().find(|name| !["kind", "owner", "roles"].contains(&name.as_str())) {
        let start: String = other.chars().take(64).flat_map(char::escape_debug).collect();
        return Err(format!("its field `{start}` is unknown"));
    }
    read_details(object, role_hierarchy, |_| true)
}

/// Reads the details for those users for which `is_read` returns true.
fn read_details(
    object: &Map<String, Value>,
    role_hierarchy: &RoleHierarchy,
    is_read: impl Fn(&str) -> bool,
) -> Result<ConversationDetails, String> {
    let given = |name: &str| object.get(name).filter(|value| !value.is_null());
    let Some(Value::Object(roles)) = object.get("roles") else {
        return Err("its `roles` must be an object with users and their roles".to_owned());
    };
    let read = roles.iter().filter(|(user, _)| is_read(user));
    let mut roles = read.map(|(user, word)| user_role(user, word, role_hierarchy)).collect::<Result<Vec<_>, _>>()?;
    let owner = given("owner").map(owner_id).transpose()?.filter(|owner| is_read(owner));
    roles.extend(owner.map(|owner| Ok::<_, String>((owner.to_owned(), role("owner", role_hierarchy)?))).transpose()?);
    let kind = given("kind").map(parse_kind).transpose()?;
    Ok(ConversationDetails { kind, roles, blocked: Vec::new() })
}

fn user_role(user: &str, word: &Value, role_hierarchy: &RoleHierarchy) -> Result<(String, Role), String> {
    let word = word.as_str().ok_or("the values of its `roles` must be strings")?;
    Ok((user.to_owned(), role(word, role_hierarchy)?))
}

fn owner_id(owner: &Value) -> Result<&str, String> {
    owner.as_str().filter(|owner| !owner.is_empty()).ok_or_else(|| "its `owner` must be a user id".to_owned())
}

fn parse_kind(value: &Value) -> Result<ConversationKind, String> {
    let kind = value.as_str().and_then(ConversationKind::parse);
    kind.ok_or_else(|| "its `kind` must be group, chatroom, temporary or system".to_owned())
}

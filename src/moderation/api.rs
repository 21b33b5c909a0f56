//! The routes of moderation, their parameters and their answers, as the server and the command line share them.

use std::borrow::Cow;

use chat_signer_core::moderation::EntryKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::crypto::{percent_decode, percent_encode};
use crate::vendor::{InvalidRequest, Params};

/// The path prefix of all routes.
pub const PATH: &str = "/v1/moderation/";

/// The path prefix of conversations, after [`PATH`].
const CONVERSATIONS: &str = "conversations/";

/// A resource below [`PATH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModerationResource {
    /// The entries of a table, which can be listed and created.
    Entries(EntryKind),
    /// The route that removes entries of a table.
    Removal(EntryKind),
    /// A conversation, by its id.
    Conversation(String),
    /// The stream of events.
    Events,
    /// The jobs of the outbox: enforcements at vendors and deliveries to webhooks.
    Enforcements,
    /// The explanation of a decision.
    Explain,
}

/// The reason why a path leads to no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// There is nothing at this path.
    NotFound,
    /// The id of the conversation is not percent-encoded correctly.
    Malformed,
}

/// The resources with a fixed path.
const FIXED_PATHS: [(&str, ModerationResource); 11] = [
    ("/v1/moderation/bans", ModerationResource::Entries(EntryKind::Bans)),
    ("/v1/moderation/bans/lift", ModerationResource::Removal(EntryKind::Bans)),
    ("/v1/moderation/mutes", ModerationResource::Entries(EntryKind::Mutes)),
    ("/v1/moderation/mutes/lift", ModerationResource::Removal(EntryKind::Mutes)),
    ("/v1/moderation/roles", ModerationResource::Entries(EntryKind::Roles)),
    ("/v1/moderation/roles/remove", ModerationResource::Removal(EntryKind::Roles)),
    ("/v1/moderation/blocks", ModerationResource::Entries(EntryKind::Blocks)),
    ("/v1/moderation/blocks/lift", ModerationResource::Removal(EntryKind::Blocks)),
    ("/v1/moderation/events", ModerationResource::Events),
    ("/v1/moderation/enforcements", ModerationResource::Enforcements),
    ("/v1/moderation/explain", ModerationResource::Explain),
];

impl ModerationResource {
    /// Returns the resource at this path.
    ///
    /// # Errors
    /// Returns an error if the path leads to no resource.
    pub fn from_path(path: &str) -> Result<ModerationResource, PathError> {
        if let Some((_, resource)) = FIXED_PATHS.into_iter().find(|(fixed, _)| *fixed == path) {
            return Ok(resource);
        }
        let id = path.strip_prefix(PATH).and_then(|below| below.strip_prefix(CONVERSATIONS));
        let id = id.filter(|id| !id.is_empty() && !id.contains('/')).ok_or(PathError::NotFound)?;
        percent_decode(id).map(ModerationResource::Conversation).ok_or(PathError::Malformed)
    }

    /// Returns the path of the resource, with a placeholder for the id of a conversation.
    pub fn path_template(&self) -> &'static str {
        let fixed = FIXED_PATHS.iter().find(|(_, fixed)| fixed == self);
        fixed.map_or("/v1/moderation/conversations/{id}", |(path, _)| path)
    }

    /// Returns the path of the resource.
    pub fn path(&self) -> String {
        match self {
            ModerationResource::Conversation(id) => format!("{PATH}{CONVERSATIONS}{}", percent_encode(id.as_bytes())),
            fixed => fixed.path_template().to_owned(),
        }
    }

    /// Returns the supported methods.
    pub fn methods(&self) -> &'static str {
        match self {
            ModerationResource::Entries(_) => "GET, POST",
            ModerationResource::Removal(_) => "POST",
            ModerationResource::Conversation(_) => "GET, PUT, DELETE",
            ModerationResource::Events | ModerationResource::Enforcements | ModerationResource::Explain => "GET",
        }
    }

    /// Returns the media type of a successful answer.
    pub fn media_type(&self) -> &'static str {
        if *self == ModerationResource::Events { "text/event-stream" } else { "application/json" }
    }
}

/// The parameters of a request, in the JSON body of `POST` and `PUT`, and in the query of `GET` and `DELETE`. Each
/// resource accepts some of them. Their values are not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModerationParameters {
    /// The action to explain.
    pub action: Option<String>,
    /// The cursor at which a list continues.
    pub after: Option<String>,
    /// The app. `None`: all apps.
    pub app: Option<String>,
    /// The time of a decision.
    pub at: Option<String>,
    /// The authenticator of the caller whose request is explained.
    pub authenticator: Option<String>,
    /// The capability of a request that is explained.
    pub capability: Option<String>,
    /// The client of a request that is explained.
    pub client: Option<String>,
    /// The user that the caller acts as.
    pub client_id: Option<String>,
    /// The conversation or pattern.
    pub conversation: Option<String>,
    /// The further fields of a request that is explained, as a JSON object.
    pub fields: Option<String>,
    /// The kind of a conversation.
    pub kind: Option<String>,
    /// The id of the last event that the caller received.
    pub last_event_id: Option<String>,
    /// The maximum number of entries of a page.
    pub limit: Option<String>,
    /// The members of a request that is explained, separated by commas.
    pub members: Option<String>,
    /// The owner of a conversation.
    pub owner: Option<String>,
    /// The reason of a ban or mute.
    pub reason: Option<String>,
    /// The role to give or to remove.
    pub role: Option<String>,
    /// The roles to assume in the token of the caller whose request is explained, separated by commas.
    pub roles: Option<String>,
    /// The caller whose request is explained, if it is a service.
    pub service: Option<String>,
    /// The state of jobs.
    pub state: Option<String>,
    /// The end of a ban or mute.
    pub until: Option<String>,
    /// The user that a list is limited to, or whose request is explained.
    pub user: Option<String>,
    /// The users that a change is about.
    pub users: Vec<String>,
}

impl ModerationParameters {
    /// Reads the parameters. Each must have its type.
    ///
    /// # Errors
    /// Returns an error that names a parameter of another type.
    pub fn read(params: &Params) -> Result<ModerationParameters, InvalidRequest> {
        let text = |field| Ok(params.text(field)?.map(str::to_owned));
        Ok(ModerationParameters {
            action: text("action")?,
            after: text("after")?,
            app: text("app")?,
            at: text("at")?,
            authenticator: text("authenticator")?,
            capability: text("capability")?,
            client: text("client")?,
            client_id: text("client_id")?,
            conversation: text("conversation")?,
            fields: text("fields")?,
            kind: text("kind")?,
            last_event_id: text("last_event_id")?,
            limit: text("limit")?,
            members: text("members")?,
            owner: text("owner")?,
            reason: text("reason")?,
            role: text("role")?,
            roles: text("roles")?,
            service: text("service")?,
            state: text("state")?,
            until: text("until")?,
            user: text("user")?,
            users: params.list("users")?.unwrap_or_default(),
        })
    }

    /// Returns the parameters as the query of a URL: empty, or beginning with `?`.
    pub fn to_query(&self) -> String {
        let values = json!(self);
        let texts = values.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let pairs: Vec<_> = texts.map(|(name, text)| format!("{name}={}", percent_encode(text.as_bytes()))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// Returns the parameters that have a value as the JSON body of a request.
    pub fn to_body(&self) -> Value {
        let values = json!(self);
        let is_set = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
        let values = values.as_object().into_iter().flatten().filter(|(_, value)| is_set(value));
        values.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// One page of a list.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct ListPage<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// The cursor of the next page. `None`: this is the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The answer to a change: the targets for which it was made, and those for which it failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct CommandReply {
    /// The users, or the id of the conversation.
    pub succeeded: Vec<String>,
    /// The targets for which the change failed.
    pub failed: Vec<FailedTarget>,
    /// The targets in `succeeded` for which nothing was to do. Older servers leave it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
}

/// A target for which a change failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailedTarget {
    /// The user, or the id of the conversation.
    pub user: String,
    /// The error code.
    pub code: String,
    /// The message for people.
    pub reason: String,
}

/// An error in the form of problem details (RFC 9457). Each member can be missing in the answer of another program.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem<'a> {
    /// Always `about:blank`.
    pub r#type: Option<Cow<'a, str>>,
    /// The meaning of the status.
    pub title: Option<Cow<'a, str>>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The message for people.
    pub detail: Option<Cow<'a, str>>,
    /// The error code.
    pub code: Option<Cow<'a, str>>,
    /// The id of the request.
    pub request_id: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_one_path() {
        for (path, resource) in FIXED_PATHS {
            assert_eq!((resource.path().as_str(), resource.path_template()), (path, path));
            assert_eq!(ModerationResource::from_path(path), Ok(resource));
        }
        let conversation = ModerationResource::Conversation("a place/with 1%".to_owned());
        assert_eq!(conversation.path(), "/v1/moderation/conversations/a%20place%2Fwith%201%25");
        assert_eq!(ModerationResource::from_path(&conversation.path()), Ok(conversation));
        for path in ["/v1/moderation/", "/v1/moderation/ban", "/v1/moderation/conversations", "/v1/moderation/bans/"] {
            assert_eq!(ModerationResource::from_path(path), Err(PathError::NotFound), "{path}");
        }
        assert_eq!(ModerationResource::from_path("/v1/moderation/conversations/%4"), Err(PathError::Malformed));
    }

    #[test]
    fn parameters_are_read_as_they_are_sent() {
        let sent = ModerationParameters {
            users: vec!["eve".to_owned()],
            reason: Some("spam & more".to_owned()),
            ..ModerationParameters::default()
        };
        let Value::Object(values) = sent.to_body() else { unreachable!() };
        assert_eq!(ModerationParameters::read(&Params { values, lenient: false }), Ok(sent.clone()));
        assert_eq!(ModerationParameters { users: Vec::new(), ..sent }.to_query(), "?reason=spam%20%26%20more");
        assert_eq!(ModerationParameters::default().to_query(), "");
    }
}

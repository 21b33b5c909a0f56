//! The routes of moderation, their parameters and their answers, as the server and the command line share them.

use std::borrow::Cow;

use chat_signer_core::moderation::{EntryKind, EntryRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::crypto::{base64url_decode, percent_decode, percent_encode};
use crate::vendor::{InvalidRequest, Params};

/// The path prefix of all routes.
pub const PATH: &str = "/v1/moderation/";

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
    /// The failed jobs in groups.
    EnforcementGroups,
    /// A command about jobs.
    EnforcementCommand(EnforcementCommand),
    /// The explanation of a decision.
    Explain,
    /// What the caller may do.
    Abilities,
    /// The outcome that a command would have.
    Preview,
    /// The users who have entries.
    Users,
    /// The entries of a user, by its id.
    User(String),
    /// The history of changes.
    Changes,
    /// A change, by its number.
    Change(String),
    /// The conversations that have an entry.
    Conversations,
    /// The users who have a role in a conversation, by its id.
    People(String),
    /// The bans and mutes that end next.
    Endings,
}

/// A command about jobs of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnforcementCommand {
    /// Try dead letters again.
    Retry,
    /// Take dead letters out, because they were done by other means or are not needed.
    Close,
    /// Enforce all bans and mutes of an app again.
    Repeat,
}

/// The reason why a path leads to no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// There is nothing at this path.
    NotFound,
    /// The id in the path is not percent-encoded correctly.
    Malformed,
}

/// The resources with a fixed path.
const FIXED_PATHS: [(&str, ModerationResource); 21] = [
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
    ("/v1/moderation/enforcements/groups", ModerationResource::EnforcementGroups),
    ("/v1/moderation/enforcements/retry", ModerationResource::EnforcementCommand(EnforcementCommand::Retry)),
    ("/v1/moderation/enforcements/close", ModerationResource::EnforcementCommand(EnforcementCommand::Close)),
    ("/v1/moderation/enforcements/repeat", ModerationResource::EnforcementCommand(EnforcementCommand::Repeat)),
    ("/v1/moderation/explain", ModerationResource::Explain),
    ("/v1/moderation/abilities", ModerationResource::Abilities),
    ("/v1/moderation/preview", ModerationResource::Preview),
    ("/v1/moderation/users", ModerationResource::Users),
    ("/v1/moderation/changes", ModerationResource::Changes),
    ("/v1/moderation/conversations", ModerationResource::Conversations),
    ("/v1/moderation/endings", ModerationResource::Endings),
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
        let below = path.strip_prefix(PATH).and_then(|below| below.split_once('/'));
        let (collection, rest) = below.filter(|(_, rest)| !rest.is_empty()).ok_or(PathError::NotFound)?;
        let (id, part) = rest.split_once('/').map_or((rest, None), |(id, part)| (id, Some(part)));
        let resource: fn(String) -> ModerationResource = match (collection, part) {
            ("conversations", None) => ModerationResource::Conversation,
            ("conversations", Some("people")) => ModerationResource::People,
            ("users", None) => ModerationResource::User,
            ("changes", None) => ModerationResource::Change,
            _ => return Err(PathError::NotFound),
        };
        percent_decode(id).map(resource).ok_or(PathError::Malformed)
    }

    /// Returns the path of the resource, with a placeholder for the id.
    pub fn path_template(&self) -> &'static str {
        match self {
            ModerationResource::Conversation(_) => "/v1/moderation/conversations/{id}",
            ModerationResource::People(_) => "/v1/moderation/conversations/{id}/people",
            ModerationResource::User(_) => "/v1/moderation/users/{id}",
            ModerationResource::Change(_) => "/v1/moderation/changes/{id}",
            fixed => FIXED_PATHS.iter().find(|(_, known)| known == fixed).map_or(PATH, |(path, _)| path),
        }
    }

    /// Returns the path of the resource.
    pub fn path(&self) -> String {
        let (ModerationResource::Conversation(id)
        | ModerationResource::People(id)
        | ModerationResource::User(id)
        | ModerationResource::Change(id)) = self
        else {
            return self.path_template().to_owned();
        };
        self.path_template().replace("{id}", &percent_encode(id.as_bytes()))
    }

    /// Returns the supported methods.
    pub fn methods(&self) -> &'static str {
        match self {
            ModerationResource::Entries(_) => "GET, POST",
            ModerationResource::Removal(_)
            | ModerationResource::Preview
            | ModerationResource::EnforcementCommand(_) => "POST",
            ModerationResource::Conversation(_) => "GET, PUT, DELETE",
            ModerationResource::Events
            | ModerationResource::Enforcements
            | ModerationResource::EnforcementGroups
            | ModerationResource::Explain
            | ModerationResource::Abilities
            | ModerationResource::Users
            | ModerationResource::User(_)
            | ModerationResource::Changes
            | ModerationResource::Change(_)
            | ModerationResource::Conversations
            | ModerationResource::People(_)
            | ModerationResource::Endings => "GET",
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
    /// The time before which entries end.
    pub before: Option<String>,
    /// The author of changes.
    pub by: Option<String>,
    /// The cause of failed jobs.
    pub cause: Option<String>,
    /// The capability of a request that is explained.
    pub capability: Option<String>,
    /// The client of a request that is explained.
    pub client: Option<String>,
    /// The user that the caller acts as.
    pub client_id: Option<String>,
    /// The conversation or pattern.
    pub conversation: Option<String>,
    /// The command of a preview.
    pub r#do: Option<String>,
    /// A part of the error of failed jobs.
    pub error: Option<String>,
    /// The further fields of a request that is explained, as a JSON object.
    pub fields: Option<String>,
    /// The time of the earliest change.
    pub from: Option<String>,
    /// The jobs that a command is about.
    pub jobs: Vec<JobReference>,
    /// The kind of a conversation or of jobs.
    pub kind: Option<String>,
    /// The id of the last event that the caller received.
    pub last_event_id: Option<String>,
    /// The maximum number of entries of a page.
    pub limit: Option<String>,
    /// The members of a request that is explained, separated by commas.
    pub members: Option<String>,
    /// Whether a command that lifts or removes concerns only entries of the same author.
    pub own: Option<bool>,
    /// The order of a list of jobs.
    pub order: Option<String>,
    /// The owner of a conversation.
    pub owner: Option<String>,
    /// The beginning of names.
    pub prefix: Option<String>,
    /// The reason of a ban or mute, or why a job is closed.
    pub reason: Option<String>,
    /// The role to give or to remove.
    pub role: Option<String>,
    /// The roles to assume in the token of the caller whose request is explained, separated by commas.
    pub roles: Option<String>,
    /// The version that the caller of a change saw.
    pub seen: Option<u64>,
    /// The caller whose request is explained, if it is a service.
    pub service: Option<String>,
    /// The state of jobs.
    pub state: Option<String>,
    /// The time of the latest change.
    pub to: Option<String>,
    /// The type of events.
    pub r#type: Option<String>,
    /// The end of a ban or mute.
    pub until: Option<String>,
    /// The user that a list is limited to, or whose request is explained.
    pub user: Option<String>,
    /// The users that a change is about.
    pub users: Vec<String>,
    /// The origin or the host of a webhook.
    pub webhook: Option<String>,
}

/// A job of the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobReference {
    /// The id in lists.
    pub id: String,
    /// The number of the change that requested the job. If it is absent, the job is meant as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
}

impl JobReference {
    /// Returns the key of the job in the store. Returns `None` if no list contains such an id.
    pub fn key(&self) -> Option<String> {
        String::from_utf8(base64url_decode(&self.id)?).ok()
    }
}

impl ModerationParameters {
    /// Reads the parameters. Each must have its type.
    ///
    /// # Errors
    /// Returns an error that names a parameter of another type.
    pub fn read(params: &Params) -> Result<ModerationParameters, InvalidRequest> {
        let text = |field| Ok(params.text(field)?.map(str::to_owned));
        let not_boolean = || InvalidRequest::new("own", "must be true or false");
        let not_a_version = || InvalidRequest::new("seen", "must be the number of a version, without quotes");
        Ok(ModerationParameters {
            action: text("action")?,
            after: text("after")?,
            app: text("app")?,
            at: text("at")?,
            authenticator: text("authenticator")?,
            before: text("before")?,
            by: text("by")?,
            capability: text("capability")?,
            cause: text("cause")?,
            client: text("client")?,
            client_id: text("client_id")?,
            conversation: text("conversation")?,
            r#do: text("do")?,
            error: text("error")?,
            fields: text("fields")?,
            from: text("from")?,
            jobs: job_references(params)?,
            kind: text("kind")?,
            last_event_id: text("last_event_id")?,
            limit: text("limit")?,
            members: text("members")?,
            own: params.value("own").map(|value| value.as_bool().ok_or_else(not_boolean)).transpose()?,
            order: text("order")?,
            owner: text("owner")?,
            prefix: text("prefix")?,
            reason: text("reason")?,
            role: text("role")?,
            roles: text("roles")?,
            seen: params.value("seen").map(|value| value.as_u64().ok_or_else(not_a_version)).transpose()?,
            service: text("service")?,
            state: text("state")?,
            to: text("to")?,
            r#type: text("type")?,
            until: text("until")?,
            user: text("user")?,
            users: params.list("users")?.unwrap_or_default(),
            webhook: text("webhook")?,
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

fn job_references(params: &Params) -> Result<Vec<JobReference>, InvalidRequest> {
    let Some(jobs) = params.values.get("jobs") else { return Ok(Vec::new()) };
    let message = r#"must be a list of jobs such as {"id": "…", "change": 17}"#;
    Vec::deserialize(jobs).map_err(|_| InvalidRequest::new("jobs", message))
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
    /// The number of the change. `None`: nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The entries that were removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<EntryRecord>,
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

/// The answer to a command about jobs: the ids of changed jobs, and of those that were not changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobReply {
    /// The ids of the changed jobs.
    pub succeeded: Vec<String>,
    /// The jobs that were not changed.
    pub failed: Vec<FailedJob>,
}

/// A job that a command did not change.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailedJob {
    /// The id.
    pub id: String,
    /// The error code: `gone`, `changed` or `not_dead_letter`.
    pub code: String,
    /// The message for people.
    pub reason: String,
}

/// The answer to a request to enforce the bans and mutes of an app again. One answer is about a part of the users.
#[derive(Debug, Serialize, Deserialize)]
pub struct RepeatReply {
    /// The number of jobs that were requested.
    pub requested: usize,
    /// The number of jobs that waited before. If there are too many, none is requested.
    pub waiting: u64,
    /// The number of the change that requested them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The cursor of the next part. `None`: this is the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
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
        for (make, path) in [
            (ModerationResource::Conversation as fn(String) -> _, "conversations/a%20place%2Fwith%201%25"),
            (ModerationResource::People, "conversations/a%20place%2Fwith%201%25/people"),
            (ModerationResource::User, "users/a%20place%2Fwith%201%25"),
            (ModerationResource::Change, "changes/a%20place%2Fwith%201%25"),
        ] {
            let resource = make("a place/with 1%".to_owned());
            assert_eq!(resource.path(), format!("{PATH}{path}"));
            assert_eq!(ModerationResource::from_path(&resource.path()), Ok(resource));
        }
        for path in ["", "ban", "bans/", "bans/x", "conversations/", "conversations/a/b", "users/a/people", "users//"] {
            let path = format!("{PATH}{path}");
            assert_eq!(ModerationResource::from_path(&path), Err(PathError::NotFound), "{path}");
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

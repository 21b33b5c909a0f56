//! Facts about conversations from LeanCloud's REST API, with the app's master key.
//!
//! Four things are read in sequence, some of them page by page: the conversation itself, its members, its managers and
//! owners (`member-infos`), and its blocked clients (`blacklists`). A chat room has no list of members. A system
//! conversation has no members and no managers. LeanCloud does not store temporary conversations at all.

use http::{HeaderName, HeaderValue, Request};
use serde_json::{Map, Value, json};

use super::provider::{FactsQuery, role};
use crate::crypto::percent_encode;
use crate::model::{ConversationKind, Role};
use crate::policy::{ConversationDetails, ConversationFacts};
use crate::secret::Secret;
use crate::vendor::has_dot_segment;

/// LeanCloud's roles and their names in the policy.
const ROLES: [(&str, &str); 3] = [("Member", MEMBER), ("Manager", "manager"), ("Owner", OWNER)];
const MEMBER: &str = "member";
const OWNER: &str = "owner";

/// How many entries are requested at once. The server may send fewer.
const PAGE: usize = 100;

/// How many requests may be sent about a conversation. A chat room may block 10,000 clients.
const MAX_REQUESTS: usize = 150;

/// The state of a query, with the data found so far.
#[derive(Debug)]
pub(super) struct LeanCloudProgress {
    step: LeanCloudStep,
    requests: usize,
    kind: ConversationKind,
    creator: Option<String>,
    members: Vec<String>,
    roles: Vec<(String, Role)>,
    blocked: Vec<String>,
}

/// The next thing to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LeanCloudStep {
    Conversation,
    Members,
    Infos { skip: usize },
    Blacklist { next: Option<String> },
}

impl LeanCloudProgress {
    pub(super) fn new(conversation: &str) -> LeanCloudProgress {
        LeanCloudProgress {
            step: LeanCloudStep::Conversation,
            requests: 0,
            kind: ConversationKind::from_id(conversation),
            creator: None,
            members: Vec::new(),
            roles: Vec::new(),
            blocked: Vec::new(),
        }
    }

    /// Returns the facts that are known without a request. LeanCloud reports no roles in temporary conversations. An id
    /// that a server may read as `.` or `..` is never sent in a path, so such a conversation is unknown.
    pub(super) fn known(&self, inquiry: &FactsQuery) -> Option<ConversationFacts> {
        let conversation = inquiry.conversation.as_str();
        if self.kind == ConversationKind::Temporary {
            let details =
                ConversationDetails { kind: Some(ConversationKind::Temporary), ..ConversationDetails::default() };
            return Some(ConversationFacts::existing(conversation, details));
        }
        has_dot_segment(conversation).then(|| ConversationFacts::missing(conversation))
    }

    pub(super) fn request(&self, inquiry: &FactsQuery, app_id: &str, key: &Secret) -> Result<Request<Vec<u8>>, String> {
        let id = percent_encode(inquiry.conversation.as_bytes());
        let folder = match self.kind {
            ConversationKind::Chatroom => "chatrooms",
            ConversationKind::System => "service-conversations",
            ConversationKind::Group | ConversationKind::Temporary => "conversations",
        };
        let tail = match &self.step {
            LeanCloudStep::Conversation => {
                let filter = json!({ "objectId": inquiry.conversation }).to_string();
                format!("all-conversations?limit=2&where={}", percent_encode(filter.as_bytes()))
            }
            LeanCloudStep::Members => format!("{folder}/{id}/members"),
            LeanCloudStep::Infos { skip } => format!("{folder}/{id}/member-infos?limit={PAGE}&skip={skip}"),
            LeanCloudStep::Blacklist { next: None } => format!("{folder}/{id}/blacklists?limit={PAGE}"),
            LeanCloudStep::Blacklist { next: Some(next) } => {
                format!("{folder}/{id}/blacklists?limit={PAGE}&next={}", percent_encode(next.as_bytes()))
            }
        };
        let base = inquiry.source.endpoint.url.to_string();
        let url = format!("{}/1.2/rtm/{tail}", base.trim_end_matches('/'));
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = url.parse().map_err(|_| "its address is too long".to_owned())?;
        request.headers_mut().insert(HeaderName::from_static("x-lc-id"), secret_header_value(app_id.as_bytes())?);
        let key = secret_header_value(&[key.expose(), b",master"].concat())?;
        request.headers_mut().insert(HeaderName::from_static("x-lc-key"), key);
        Ok(request)
    }

    /// Reads the answer to the last request. Returns `None` if there is more to ask.
    pub(super) fn read(
        &mut self,
        inquiry: &FactsQuery,
        answer: &Map<String, Value>,
    ) -> Result<Option<ConversationFacts>, String> {
        self.requests += 1;
        let next = match self.step.clone() {
            LeanCloudStep::Conversation => match self.read_conversation(inquiry, answer)? {
                Some(stage) => Some(stage),
                None => return Ok(Some(ConversationFacts::missing(&inquiry.conversation))),
            },
            LeanCloudStep::Members => {
                self.members = queried_users(inquiry, &string_list_field(answer, "result")?);
                Some(LeanCloudStep::Infos { skip: 0 })
            }
            LeanCloudStep::Infos { skip } => Some(self.read_infos(inquiry, answer, skip)?),
            LeanCloudStep::Blacklist { next } => self.read_blacklist(inquiry, answer, next.as_deref())?,
        };
        match next {
            None => Ok(Some(ConversationFacts::existing(&inquiry.conversation, self.details(inquiry)?))),
            Some(_) if self.requests >= MAX_REQUESTS => Err("its lists are too long".to_owned()),
            Some(stage) => {
                self.step = stage;
                Ok(None)
            }
        }
    }

    /// Reads the conversation and returns the next step, or `None` if the conversation does not exist.
    fn read_conversation(
        &mut self,
        inquiry: &FactsQuery,
        answer: &Map<String, Value>,
    ) -> Result<Option<LeanCloudStep>, String> {
        let found = match array_field(answer, "results")?.as_slice() {
            [] => return Ok(None),
            [one] if one.get("objectId").and_then(Value::as_str) == Some(&inquiry.conversation) => one,
            _ => return Err("it has conversations that were not requested".to_owned()),
        };
        let is = |field: &str| match found.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| format!("its `{field}` is not true or false")),
        };
        self.creator = found.get("c").and_then(Value::as_str).map(str::to_owned);
        let (kind, next) = match (is("sys")?, is("tr")?) {
            (true, _) => (ConversationKind::System, LeanCloudStep::Blacklist { next: None }),
            (false, true) => (ConversationKind::Chatroom, LeanCloudStep::Infos { skip: 0 }),
            (false, false) => (ConversationKind::Group, LeanCloudStep::Members),
        };
        self.kind = kind;
        Ok(Some(next))
    }

    /// Reads a page of `member-infos`. Pages may be shorter than requested, so only an empty page is the last.
    fn read_infos(
        &mut self,
        inquiry: &FactsQuery,
        answer: &Map<String, Value>,
        skip: usize,
    ) -> Result<LeanCloudStep, String> {
        let infos = array_field(answer, "results")?;
        for info in infos {
            let text = |field: &str| info.get(field).and_then(Value::as_str);
            let (user, word) =
                text("clientId").zip(text("role")).ok_or("a member's info has no `clientId` or `role`")?;
            let known = ROLES.iter().find(|(theirs, _)| *theirs == word);
            let (_, word) = known.ok_or("a member's info has a role that is not known")?;
            if inquiry.users.iter().any(|asked| asked == user) {
                self.roles.push((user.to_owned(), role(word, &inquiry.source.hierarchy)?));
            }
        }
        Ok(if infos.is_empty() {
            LeanCloudStep::Blacklist { next: None }
        } else {
            LeanCloudStep::Infos { skip: skip + infos.len() }
        })
    }

    fn read_blacklist(
        &mut self,
        inquiry: &FactsQuery,
        answer: &Map<String, Value>,
        last: Option<&str>,
    ) -> Result<Option<LeanCloudStep>, String> {
        self.blocked.extend(queried_users(inquiry, &string_list_field(answer, "client_ids")?));
        match answer.get("next") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(next)) if next.is_empty() => Ok(None),
            Some(Value::String(next)) if Some(next.as_str()) != last => {
                Ok(Some(LeanCloudStep::Blacklist { next: Some(next.clone()) }))
            }
            Some(_) => Err("its `next` is invalid or repeated".to_owned()),
        }
    }

    /// Returns the details. In a group, only members have a role. A member without a higher role has the role `member`.
    fn details(&mut self, inquiry: &FactsQuery) -> Result<ConversationDetails, String> {
        let role_hierarchy = &inquiry.source.hierarchy;
        let mut roles = std::mem::take(&mut self.roles);
        if let Some(creator) = self.creator.take().filter(|creator| inquiry.users.contains(creator)) {
            roles.push((creator, role(OWNER, role_hierarchy)?));
        }
        if self.kind == ConversationKind::Group {
            roles.retain(|(user, _)| self.members.contains(user));
            let member = role(MEMBER, role_hierarchy)?;
            roles.extend(std::mem::take(&mut self.members).into_iter().map(|user| (user, member)));
        }
        Ok(ConversationDetails { kind: Some(self.kind), roles, blocked: std::mem::take(&mut self.blocked) })
    }
}

/// Returns those of the queried users that are in the list.
fn queried_users(inquiry: &FactsQuery, users: &[&str]) -> Vec<String> {
    inquiry.users.iter().filter(|asked| users.contains(&asked.as_str())).cloned().collect()
}

fn array_field<'a>(answer: &'a Map<String, Value>, name: &str) -> Result<&'a Vec<Value>, String> {
    answer.get(name).and_then(Value::as_array).ok_or_else(|| format!("its `{name}` must be a list"))
}

fn string_list_field<'a>(answer: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, String> {
    let texts = array_field(answer, name)?.iter().map(Value::as_str).collect::<Option<_>>();
    texts.ok_or_else(|| format!("its `{name}` must hold client ids"))
}

fn secret_header_value(value: &[u8]) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_bytes(value)
        .map_err(|_| "a configured id or key holds characters that an HTTP header cannot hold")?;
    value.set_sensitive(true);
    Ok(value)
}

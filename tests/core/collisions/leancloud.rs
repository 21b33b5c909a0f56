//! LeanCloud's requests, what they mean, and which of them may share a message.

use std::collections::{BTreeSet, HashMap, HashSet};

use chat_signer::model::{Action, Pattern, RequiredAction, SigningRequest, Vendor};
use chat_signer::secret::Secret;
use chat_signer::vendor::App;
use chat_signer::vendor::leancloud::{self, HistoryOrder, StringToSign, TimestampUnit};
use serde_json::{Map, Value};

use super::accept;

pub(crate) const APP_ID: &str = "appid";

pub(crate) const ACTIONS: [Action; 11] = [
    Action::Login,
    Action::Create,
    Action::Join,
    Action::Leave,
    Action::Invite,
    Action::Kick,
    Action::History,
    Action::BlockClients,
    Action::UnblockClients,
    Action::BlockConversation,
    Action::UnblockConversation,
];

/// Identifiers that read like something else, most of them refused in some place.
pub(crate) const IDS: [&str; 27] = [
    "tom",
    "mary",
    APP_ID,
    "_tmp",
    "_tmp1",
    "_tmp:x",
    "_tmp:tom",
    "_tmp:1700000000000",
    "_tmp:",
    "_tmp:_tmp:x",
    "1700000000000",
    "1700000000",
    "0",
    "a1",
    "invite1",
    "invite",
    "kick",
    "client-block-conversations",
    "conversation-block-clients",
    "x*",
    "汤",
    "",
    ":",
    "tom:mary",
    "tom:",
    "*",
    " ",
];

/// Points in time, of both units, that are among the identifiers, and the last there is.
pub(crate) const TIMES: [u64; 4] = [0, 1_700_000_000, 1_700_000_000_000, u64::MAX];

pub(crate) fn app(order: HistoryOrder) -> App {
    let key = Secret::new(b"fake-master-key".to_vec());
    App::LeanCloud(leancloud::App::new("chat".into(), APP_ID.to_owned(), &[key], TimestampUnit::Milliseconds, order))
}

pub(crate) fn message(app: &App, signing_request: &SigningRequest, timestamp: u64, nonce: &str) -> String {
    let App::LeanCloud(app) = app else { unreachable!("only LeanCloud has these messages") };
    StringToSign::new(app.app_id(), app.history(), signing_request, timestamp, nonce).unwrap().to_string()
}

/// As a client sends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) action: Action,
    pub(crate) client: String,
    pub(crate) conversation: Option<String>,
    pub(crate) members: Option<Vec<String>>,
}

impl Request {
    pub(crate) fn new(action: Action, client: &str, conversation: Option<&str>, members: Option<&[&str]>) -> Request {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let (client, conversation) = (client.to_owned(), conversation.map(str::to_owned));
        Request { action, client, conversation, members: members.map(owned) }
    }

    /// What is asked, if it is accepted.
    pub(crate) fn accepted(&self, app: &App) -> Option<SigningRequest> {
        let mut values = Map::new();
        values.insert("client_id".to_owned(), self.client.as_str().into());
        values.extend(self.conversation.iter().map(|id| ("conv_id".to_owned(), id.as_str().into())));
        values.extend(self.members.iter().map(|ids| ("members".to_owned(), ids.clone().into())));
        let (permit, _) = accept(app, self.action.as_str(), Value::Object(values)).ok()?;
        Some(permit.request().clone())
    }

    /// What would be asked if nothing were checked, where it can be put into a message at all.
    pub(crate) fn unchecked(&self, app: &App) -> Option<SigningRequest> {
        let has_conversation = !matches!(self.action, Action::Login | Action::Create);
        if has_conversation != self.conversation.is_some() {
            return None;
        }
        Some(SigningRequest {
            app: app.name().clone(),
            vendor: Vendor::LeanCloud,
            action: self.action,
            client: self.client.clone(),
            conversation: self.conversation.clone().map(Pattern::Exact),
            members: self.members.clone().unwrap_or_default(),
            required_actions: Vec::new(),
            requested_grants: Vec::new(),
            left_out: Vec::new(),
        })
    }

    /// Inviting just oneself is joining, kicking just oneself is leaving, and who joins or leaves need not be named.
    pub(crate) fn meaning(&self) -> Meaning {
        let client = self.client.clone();
        let mut members = self.members.clone().unwrap_or_default();
        members.sort();
        let oneself = !members.is_empty() && members.iter().all(|member| *member == client);
        let action = match self.action {
            Action::Invite if oneself => Action::Join,
            Action::Kick if oneself => Action::Leave,
            Action::Join | Action::Leave if members.is_empty() => {
                members.push(client.clone());
                self.action
            }
            action => action,
        };
        Meaning { action, client, conversation: self.conversation.clone(), members }
    }
}

/// What a request is for: the same for all ways to ask for it, at all times, with all nonces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Meaning {
    action: Action,
    client: String,
    conversation: Option<String>,
    /// Ascending; who is named twice stands here twice.
    members: Vec<String>,
}

/// Whether these are among the pairs that can't be told apart, so that either needs leave for both: going online and creating a
/// conversation with nobody; and, where its timestamp comes first, the history of a conversation and creating one with a member of that name.
pub(crate) fn tied(order: HistoryOrder, a: &Meaning, b: &Meaning) -> bool {
    let tied_so = |a: &Meaning, b: &Meaning| match (a.action, b.action) {
        (Action::Login, Action::Create) => b.members.is_empty(),
        (Action::History, Action::Create) => {
            order == HistoryOrder::TimestampNonce && b.members.as_slice() == a.conversation.as_slice()
        }
        _ => false,
    };
    a.client == b.client && (tied_so(a, b) || tied_so(b, a))
}

/// All that must be allowed, in whatever order it is asked.
pub(crate) type Needs = BTreeSet<(Action, Option<Pattern>, Vec<String>)>;

pub(crate) fn needs(signing_request: &SigningRequest) -> Needs {
    let tuple = |need: &RequiredAction| (need.action, need.conversation.clone(), need.targets.clone());
    signing_request.required_actions.iter().map(tuple).collect()
}

/// The pairs of different meaning that share a message.
pub(crate) fn sharing<'a>(signed: impl Iterator<Item = (String, &'a Meaning)>) -> HashSet<(&'a Meaning, &'a Meaning)> {
    let mut first = HashMap::new();
    let shared = signed.filter_map(|(message, meaning)| {
        let first = *first.entry(message).or_insert(meaning);
        (first != meaning).then_some((first.min(meaning), first.max(meaning)))
    });
    shared.collect()
}

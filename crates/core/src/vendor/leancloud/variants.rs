//! What other programs sign for LeanCloud by mistake.

use super::{App, HistoryOrder};
use crate::model::{Action, SigningRequest};
use crate::secret::Secret;
use crate::vendor::variants::{
    ForeignRequest, KeyVariant, MacEncoding, MessageVariant, SignatureFormat, key_variants, message_variants,
    other_unit,
};

/// The form of the signatures.
pub(super) const SIGNATURE: SignatureFormat = SignatureFormat {
    encoding: MacEncoding::Hex,
    has_time: true,
    tried: "other orders of the members, with and without the client, each member once, another separator; the client \
            and the member swapped; seconds instead of milliseconds and vice versa; nonce and timestamp swapped; the \
            word of every action; empty fields left out or added; other app ids",
};

/// The words that are signed for other actions, and names of actions in client libraries.
const WORDS: [&str; 15] = [
    "invite",
    "kick",
    "client-block-conversations",
    "client-unblock-conversations",
    "conversation-block-clients",
    "conversation-unblock-clients",
    "create",
    "start",
    "login",
    "open",
    "join",
    "leave",
    "add",
    "remove",
    "history",
];

/// The signed fields.
#[derive(Clone)]
struct SignedFields {
    app_id: String,
    client: String,
    conversation: Option<String>,
    /// The members in the order of the signed text. `None` if the text has no field for them, not even an empty one.
    members: Option<Vec<String>>,
    separator: &'static str,
    timestamp: u64,
    nonce: String,
    nonce_first: bool,
    last: Option<&'static str>,
}

/// Returns the master key and its misreadings.
pub(super) fn master_key_variants(key: &Secret) -> Vec<KeyVariant> {
    let with_suffix = [key.expose(), b",master"].concat();
    key_variants(key, Some(("`,master` was used as a part of the key", with_suffix)))
}

/// Returns the text of a signature and its variants.
pub(super) fn signature_variants(app: &App, foreign: &ForeignRequest<'_>) -> Vec<MessageVariant> {
    let timestamp = app.timestamp(foreign.at.unwrap_or(foreign.now));
    let nonce = foreign.nonce.map_or("", |nonce| nonce.as_str());
    let right = SignedFields::new(app, foreign.request, timestamp, nonce);
    let changed = right.changes(foreign.request, foreign.other_apps);
    message_variants(right.text(), changed.into_iter().map(|(change, fields)| (change, fields.text())))
}

impl SignedFields {
    fn new(app: &App, signing_request: &SigningRequest, timestamp: u64, nonce: &str) -> SignedFields {
        let mut members = signing_request.members.clone();
        members.sort_unstable();
        SignedFields {
            app_id: app.app_id().to_owned(),
            client: signing_request.client.clone(),
            conversation: signing_request.conversation.as_ref().map(ToString::to_string),
            members: (signing_request.action != Action::History).then_some(members),
            separator: ":",
            timestamp,
            nonce: nonce.to_owned(),
            nonce_first: signing_request.action == Action::History && app.history() == HistoryOrder::NonceTimestamp,
            last: match signing_request.action {
                Action::Join | Action::Invite => Some("invite"),
                Action::Leave | Action::Kick => Some("kick"),
                Action::BlockConversation => Some("client-block-conversations"),
                Action::UnblockConversation => Some("client-unblock-conversations"),
                Action::BlockClients => Some("conversation-block-clients"),
                Action::UnblockClients => Some("conversation-unblock-clients"),
                _ => None,
            },
        }
    }

    fn text(&self) -> String {
        let members = self.members.as_ref().map(|members| members.join(self.separator));
        let timestamp = self.timestamp.to_string();
        let (first, second) = if self.nonce_first { (&self.nonce, &timestamp) } else { (&timestamp, &self.nonce) };
        let start = [Some(&self.app_id), Some(&self.client), self.conversation.as_ref(), members.as_ref()];
        let fields = start.into_iter().flatten().chain([first, second]).map(String::as_str).chain(self.last);
        fields.collect::<Vec<_>>().join(":")
    }

    fn changes(&self, signing_request: &SigningRequest, other_apps: &[(&str, &str)]) -> Vec<(String, SignedFields)> {
        let orders = self.other_orders(&signing_request.members);
        let all = orders
            .into_iter()
            .chain(self.other_members(signing_request.action))
            .chain(self.other_times())
            .chain(self.other_words());
        all.chain(self.empty_fields()).chain(self.app_ids(other_apps)).collect()
    }

    fn other_orders(&self, given: &[String]) -> Vec<(String, SignedFields)> {
        let Some(members) = &self.members else { return Vec::new() };
        let sorted = |order: fn(&str, &str) -> std::cmp::Ordering| {
            let mut members = members.clone();
            members.sort_by(|a, b| order(a, b));
            members
        };
        let by_number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
        let mut numeric = members.clone();
        numeric.sort_by_key(|member| by_number(member));
        let same_people = |other: &[String]| {
            let mut other = other.to_vec();
            other.sort_unstable();
            other == sorted(str::cmp)
        };
        let as_given =
            same_people(given).then(|| ("the members are unsorted: they were signed as given", given.to_vec()));
        let orders = [
            ("the members are in descending order", sorted(|a, b| b.cmp(a))),
            ("the members are sorted without regard to case", sorted(|a, b| a.to_lowercase().cmp(&b.to_lowercase()))),
            ("the members are sorted as numbers", numeric),
            ("the members are sorted by UTF-16 code unit", sorted(|a, b| a.encode_utf16().cmp(b.encode_utf16()))),
        ];
        let all = as_given.into_iter().chain(orders);
        all.map(|(change, members)| (change.to_owned(), SignedFields { members: Some(members), ..self.clone() }))
            .collect()
    }

    /// Returns the variants with other members in the list.
    fn other_members(&self, action: Action) -> Vec<(String, SignedFields)> {
        let Some(members) = &self.members else { return Vec::new() };
        let client = &self.client;
        let who = if action == Action::Create { "creator" } else { "client" };
        let mut with = members.clone();
        with.push(client.clone());
        let in_order: Vec<String> = with.clone();
        with.sort_unstable();
        let without: Vec<String> = members.iter().filter(|member| *member != client).cloned().collect();
        let mut once = members.clone();
        once.dedup();
        let commas = SignedFields { separator: ",", ..self.clone() };
        let lists = [
            (format!("the {who} was left out of the members"), without),
            (format!("the {who} was added to the members"), with),
            (format!("the {who} was added to the end of the members"), in_order),
            ("each member was signed once".to_owned(), once),
            ("the members were left out".to_owned(), Vec::new()),
        ];
        let lists = lists.map(|(change, members)| (change, SignedFields { members: Some(members), ..self.clone() }));
        let joined = ("the members are joined with `,`, not `:`".to_owned(), commas);
        lists.into_iter().chain([joined]).chain(self.swapped(who)).collect()
    }

    /// Returns the variant in which the only other member is the client, and the client is the member.
    fn swapped(&self, who: &str) -> Option<(String, SignedFields)> {
        let [member] = self.members.as_deref()? else { return None };
        let swapped = SignedFields { client: member.clone(), members: Some(vec![self.client.clone()]), ..self.clone() };
        Some((format!("the {who} and the member are swapped"), swapped))
    }

    fn other_times(&self) -> Vec<(String, SignedFields)> {
        let swapped = SignedFields { nonce_first: !self.nonce_first, ..self.clone() };
        let order = if self.nonce_first {
            "the timestamp comes before the nonce"
        } else {
            "the nonce comes before the timestamp"
        };
        let (unit, timestamp) = other_unit(self.timestamp);
        let other = SignedFields { timestamp, ..self.clone() };
        vec![(unit.to_owned(), other), (order.to_owned(), swapped)]
    }

    fn other_words(&self) -> Vec<(String, SignedFields)> {
        let with = |last: Option<&'static str>| SignedFields { last, ..self.clone() };
        let others = WORDS.into_iter().filter(|word| self.last != Some(word)).map(|word| {
            let change = match self.last {
                None => format!("`:{word}` was added at the end"),
                Some(right) => format!("it ends with `:{word}`, not `:{right}`"),
            };
            (change, with(Some(word)))
        });
        let none = self.last.map(|word| (format!("`:{word}` was left out at the end"), with(None)));
        none.into_iter().chain(others).collect()
    }

    /// Returns the variants with an empty field too many or too few.
    fn empty_fields(&self) -> Vec<(String, SignedFields)> {
        let missing = self.members.as_ref().filter(|members| members.is_empty()).map(|_| {
            ("the empty field for members was left out".to_owned(), SignedFields { members: None, ..self.clone() })
        });
        let members = self.members.is_none().then(|| {
            let members = Some(Vec::new());
            ("an empty field for members was added".to_owned(), SignedFields { members, ..self.clone() })
        });
        let conversation = self.conversation.is_none().then(|| {
            let conversation = Some(String::new());
            ("an empty field for the conversation was added".to_owned(), SignedFields { conversation, ..self.clone() })
        });
        [missing, members, conversation].into_iter().flatten().collect()
    }

    fn app_ids(&self, other_apps: &[(&str, &str)]) -> Vec<(String, SignedFields)> {
        let ids = other_apps.iter().filter(|(_, id)| *id != self.app_id);
        ids.map(|(name, id)| {
            (
                format!("it is for the app id of [apps.{name}]"),
                SignedFields { app_id: (*id).to_owned(), ..self.clone() },
            )
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::vendor::leancloud::{SPEC, StringToSign, TimestampUnit};
    use crate::vendor::tests::params;
    use crate::vendor::vendor_app::VendorApp;

    fn ask(app: &App, name: &str) -> SigningRequest {
        let operation = SPEC.operation(name).unwrap();
        let values = json!({"client_id": "tom", "conv_id": "group", "members": ["tom", "carol", "Zoe", "carol"]});
        let Value::Object(mut values) = values else { unreachable!() };
        values.retain(|field, _| operation.fields.contains(&field.as_str()));
        let crate::vendor::Operation::LeanCloud(operation) = operation.operation else { unreachable!() };
        app.parse(operation, &params(Value::Object(values)), None).unwrap().0
    }

    #[test]
    fn what_is_varied_starts_from_what_is_signed() {
        for history in [HistoryOrder::NonceTimestamp, HistoryOrder::TimestampNonce] {
            let app = App::new("lc".into(), "appid".to_owned(), &[], TimestampUnit::Milliseconds, history);
            for name in SPEC.operation_names() {
                let request = ask(&app, name);
                let message = StringToSign::new("appid", history, &request, 1_700_000_000_000, "n1").unwrap();
                assert_eq!(SignedFields::new(&app, &request, 1_700_000_000_000, "n1").text(), message.as_str());
            }
        }
    }
}

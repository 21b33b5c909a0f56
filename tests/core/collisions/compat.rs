//! The fields that clients of LeanCloud's demo servers send mean one of our own requests or nothing. Those servers sign whatever
//! fields they get; here nothing comes in that way that couldn't be asked for by its name.

use std::collections::{HashMap, HashSet};

use chat_signer::model::{Action, SigningRequest};
use chat_signer::policy::for_operator;
use chat_signer::vendor::leancloud::{DemoRoute, HistoryOrder};
use chat_signer::vendor::{App, Params, compat_routes, parse};
use serde_json::{Value, json};

use super::leancloud::{Meaning, Request, app, message, needs, sharing, tied};

const CLIENTS: [&str; 5] = ["tom", "mary", "invite", "1700000000000", "tom:mary"];
const CONVERSATIONS: [&str; 8] = ["room", "tom", "mary", "_tmp", "_tmp:x", "1700000000000", "invite", "room:mary"];
const MEMBERS: [&[&str]; 9] =
    [&[], &["tom"], &["mary"], &["tom", "mary"], &["room", "mary"], &["x", "y"], &["y"], &[""], &["a:b"]];

/// What clients say, and what it means.
const WORDS: [(&str, Action); 26] = [
    ("login", Action::Login),
    ("open", Action::Login),
    ("create", Action::Create),
    ("start", Action::Create),
    ("invite", Action::Invite),
    ("add", Action::Invite),
    ("kick", Action::Kick),
    ("remove", Action::Kick),
    ("join", Action::Join),
    ("leave", Action::Leave),
    ("history", Action::History),
    ("block", Action::BlockClients),
    ("block-clients", Action::BlockClients),
    ("conversation-block-clients", Action::BlockClients),
    ("unblock", Action::UnblockClients),
    ("unblock-clients", Action::UnblockClients),
    ("conversation-unblock-clients", Action::UnblockClients),
    ("block-conversation", Action::BlockConversation),
    ("client-block-conversations", Action::BlockConversation),
    ("unblock-conversation", Action::UnblockConversation),
    ("client-unblock-conversations", Action::UnblockConversation),
    // Nothing, whatever they read like. The actions beside them are there to be wrong.
    ("", Action::Publish),
    ("Invite", Action::Publish),
    ("invite:kick", Action::Publish),
    ("publish", Action::Publish),
    ("app-token", Action::Publish),
];

/// A request with the fields as they are sent, and those of our own that it could be taken for.
struct Sent {
    compat: DemoRoute,
    fields: Value,
    readings: Vec<Request>,
}

/// Every function with all fields, each of them left out, too.
fn sent() -> Vec<Sent> {
    let words = WORDS.iter().map(|(word, action)| (Some(*word), Some(*action))).chain([(None, None)]);
    let words: Vec<_> = words.collect();
    let mut all = Vec::new();
    for compat in DemoRoute::ALL {
        for client in CLIENTS {
            for place in CONVERSATIONS.iter().map(Some).chain([None]) {
                for members in MEMBERS.iter().map(Some).chain([None]) {
                    all.extend(words.iter().map(|said| one(compat, client, place.copied(), members.copied(), *said)));
                }
            }
        }
    }
    all
}

type Said = (Option<&'static str>, Option<Action>);

fn one(compat: DemoRoute, client: &str, place: Option<&str>, members: Option<&[&str]>, (word, action): Said) -> Sent {
    let names = if compat == DemoRoute::Sign2 { ["client_id", "conv_id"] } else { ["clientId", "conversationId"] };
    let fields = json!({names[0]: client, names[1]: place, "members": members, "action": word, "other": "x"});
    // Without a word it depends on the other fields, but never on how the function is spelt: it must be one of these.
    let bare = [Action::Login, Action::Create, Action::History];
    let possible = action.filter(|_| word != Some("")).map_or(bare.to_vec(), |action| vec![action]);
    let readings = possible.into_iter().map(|action| Request::new(action, client, place, members)).collect();
    Sent { compat, fields, readings }
}

fn accepted(app: &App, sent: &Sent) -> Option<SigningRequest> {
    let Value::Object(values) = sent.fields.clone() else { unreachable!("fields are an object") };
    let params = Params { values, lenient: false };
    let routes = compat_routes().flat_map(|(_, compat)| compat.routes);
    let route = routes.into_iter().find(|route| route.operation.name == sent.compat.as_str()).unwrap();
    let request = parse(app, &route.operation, &params, None).ok()?;
    Some(for_operator(request.signing_request).request().clone())
}

/// The one of our own requests that was understood.
fn meaning(app: &App, sent: &Sent, signing_request: &SigningRequest) -> Meaning {
    let same = sent.readings.iter().filter(|reading| reading.accepted(app).as_ref() == Some(signing_request));
    let meanings: HashSet<Meaning> = same.map(Request::meaning).collect();
    let meanings: Vec<_> = meanings.into_iter().collect();
    assert_eq!(meanings.len(), 1, "{}({}) is taken for {signing_request:?}", sent.compat.as_str(), sent.fields);
    meanings.into_iter().next().unwrap()
}

fn search(order: HistoryOrder) {
    let app = app(order);
    let all = sent();
    let asks: Vec<_> = all
        .iter()
        .filter_map(|sent| {
            accepted(&app, sent).map(|signing_request| (meaning(&app, sent, &signing_request), signing_request))
        })
        .collect();
    assert!(asks.len() > 500 && all.len() > 20 * asks.len() / 2, "{} of {}", asks.len(), all.len());

    let mut needed = HashMap::new();
    for (meaning, signing_request) in &asks {
        assert_eq!(
            *needed.entry(meaning).or_insert_with(|| needs(signing_request)),
            needs(signing_request),
            "{meaning:?}"
        );
    }
    let moments = [(1_700_000_000_000, "a1"), (1_700_000_000, "invite1"), (0, "n1-_tmp")];
    let signed = asks.iter().flat_map(|(meaning, signing_request)| {
        moments.map(|(time, nonce)| (message(&app, signing_request, time, nonce), meaning))
    });
    let pairs = sharing(signed);
    assert!(!pairs.is_empty(), "going online and creating with nobody are one");
    for (a, b) in pairs {
        assert!(tied(order, a, b), "{a:?} and {b:?} sign the same");
        assert_eq!(needed[a], needed[b], "{a:?} and {b:?} sign the same and need different leave");
    }
}

#[test]
fn with_the_nonce_first_fields_mean_one_thing() {
    search(HistoryOrder::NonceTimestamp);
}

#[test]
fn with_the_timestamp_first_fields_mean_one_thing() {
    search(HistoryOrder::TimestampNonce);
}

/// `appid:tom:room:mary:timestamp:nonce`, which a demo server signs for these fields, creates a conversation of room and mary.
#[test]
fn a_conversation_with_members_and_no_action_is_nothing() {
    let app = app(HistoryOrder::NonceTimestamp);
    for compat in DemoRoute::ALL {
        for word in [Value::Null, json!("")] {
            let names = json!({"client_id": "tom", "conv_id": "room", "members": ["mary"], "action": word});
            let sent = Sent { compat, fields: names, readings: Vec::new() };
            assert_eq!(accepted(&app, &sent), None, "{compat:?}");
        }
    }
}

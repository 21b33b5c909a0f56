//! Every LeanCloud request over a small world of identifiers chosen to be mistaken for something else.

use std::collections::{HashMap, HashSet};

use chat_signer::model::{Action, SigningRequest};
use chat_signer::vendor::leancloud::HistoryOrder;
use chat_signer::vendor::{App, Nonce};

use super::leancloud::{ACTIONS, IDS, Meaning, Needs, Request, TIMES, app, message, needs, sharing, tied};

/// What a client might hope to have signed as a nonce. The first three are accepted.
const NONCES: [&str; 12] =
    ["a1", "invite1", "n1-_tmp", "invite", "kick", "1700000000000", "0", "", "a1:kick", "_tmp", "tom", "a1:"];

/// All identifiers in every place, with at most one member; and some of them with up to three, in any order and repeated.
fn requests() -> Vec<Request> {
    let mut requests = signing_job(&IDS, &IDS, &lists(&IDS, 1));
    requests.extend(signing_job(
        &["tom", "1700000000000", "invite"],
        &["tom", "x", "_tmp:x", "_tmp", "1700000000000", "a1"],
        &lists(&["tom", "mary", "x", "_tmp", "1700000000000", "a1", "invite"], 3),
    ));
    requests
}

/// Every action of every client in each of the conversations and in none, with each of the lists of members and with none.
fn signing_job(clients: &[&str], conversations: &[&str], members: &[Vec<&str>]) -> Vec<Request> {
    let conversations: Vec<_> = conversations.iter().copied().map(Some).chain([None]).collect();
    let members: Vec<_> = members.iter().map(|list| Some(list.as_slice())).chain([None]).collect();
    let mut requests = Vec::new();
    for client in clients {
        for conversation in &conversations {
            for members in &members {
                requests.extend(ACTIONS.map(|action| Request::new(action, client, *conversation, *members)));
            }
        }
    }
    requests
}

/// Every list of up to `longest` of these.
fn lists<'a>(ids: &[&'a str], longest: usize) -> Vec<Vec<&'a str>> {
    let mut all = vec![Vec::new()];
    let mut newest = all.clone();
    for _ in 0..longest {
        let longer = |list: &Vec<&'a str>| ids.iter().map(|id| [list.as_slice(), &[*id]].concat()).collect::<Vec<_>>();
        newest = newest.iter().flat_map(longer).collect();
        all.extend(newest.iter().cloned());
    }
    all
}

fn nonces() -> Vec<Nonce> {
    let nonces: Vec<Nonce> = NONCES.iter().filter_map(|text| Nonce::parse(text).ok()).collect();
    assert_eq!(nonces.iter().map(Nonce::as_str).collect::<Vec<_>>(), NONCES[..3]);
    nonces.into_iter().chain([Nonce::from_entropy([0x11; 16])]).collect()
}

/// Searches, and answers how many pairs share a message as they may.
fn search(order: HistoryOrder) -> usize {
    let app = app(order);
    let mut refused = 0;
    let mut accepted = Vec::new();
    for request in requests() {
        match request.accepted(&app) {
            Some(signing_request) => accepted.push((request.meaning(), signing_request)),
            None => refused += 1,
        }
    }
    assert!(accepted.len() > 20_000, "{} accepted", accepted.len());
    assert!(refused > 100_000, "{refused} refused");

    let nonces = nonces();
    let moments = TIMES.iter().flat_map(|time| nonces.iter().map(move |nonce| (*time, nonce.as_str())));
    let needed = needed(&accepted);
    let pairs = pairs(&app, &accepted, &moments.collect::<Vec<_>>());
    for (a, b) in &pairs {
        assert!(tied(order, a, b), "{a:?} and {b:?} sign the same");
        assert_eq!(needed[a], needed[b], "{a:?} and {b:?} sign the same and need different leave");
    }
    pairs.len()
}

/// Those that share a message, whichever two of these times and nonces they are signed with.
fn pairs<'a>(
    app: &App,
    asks: &'a [(Meaning, SigningRequest)],
    moments: &[(u64, &str)],
) -> HashSet<(&'a Meaning, &'a Meaning)> {
    sharing(asks.iter().flat_map(|(meaning, signing_request)| {
        moments.iter().map(move |(time, nonce)| (message(app, signing_request, *time, nonce), meaning))
    }))
}

/// What each meaning needs, however it is asked for.
fn needed(accepted: &[(Meaning, SigningRequest)]) -> HashMap<&Meaning, Needs> {
    let mut needed = HashMap::new();
    for (meaning, signing_request) in accepted {
        let first = needed.entry(meaning).or_insert_with(|| needs(signing_request));
        assert_eq!(*first, needs(signing_request), "{meaning:?}");
    }
    needed
}

/// How many of the identifiers a client may have.
fn clients() -> usize {
    let app = app(HistoryOrder::default());
    IDS.iter().filter(|id| Request::new(Action::Login, id, None, None).accepted(&app).is_some()).count()
}

#[test]
fn with_the_nonce_first_only_going_online_and_creating_with_nobody_are_one() {
    assert_eq!(search(HistoryOrder::NonceTimestamp), clients());
}

#[test]
fn with_the_timestamp_first_history_and_creating_with_one_member_are_one_too() {
    // One of the identifiers, `x*`, can be a member and not a conversation; `x` is among the conversations and members of the deep part.
    let histories = clients() * (clients() - 1) + 3;
    assert_eq!(search(HistoryOrder::TimestampNonce), clients() + histories);
}

/// The pairs of requests that must not share a message and would, if neither identifiers nor nonces were checked.
fn known_collisions() -> Vec<(Request, Request)> {
    let by_tom = |action, conversation, members: &[&str]| Request::new(action, "tom", conversation, Some(members));
    vec![
        // An empty member is none.
        (by_tom(Action::Login, None, &[]), by_tom(Action::Create, None, &[""])),
        // Where a temporary conversation's id ends.
        (by_tom(Action::Invite, Some("_tmp"), &["x", "y"]), by_tom(Action::Invite, Some("_tmp:x"), &["y"])),
        // A separator in an identifier.
        (by_tom(Action::Kick, Some("room"), &["ann:bob"]), by_tom(Action::Kick, Some("room"), &["ann", "bob"])),
        // A separator in a nonce, `a1:kick`.
        (by_tom(Action::Create, None, &["bob", "mary"]), by_tom(Action::Kick, Some("bob"), &["mary"])),
        // A number for a nonce.
        (by_tom(Action::History, Some("mary"), &[]), by_tom(Action::Create, None, &["mary"])),
    ]
}

#[test]
fn without_the_checks_the_search_finds_the_known_collisions() {
    let app = app(HistoryOrder::NonceTimestamp);
    let known = known_collisions();
    let unchecked = |request: &Request| (request.meaning(), request.unchecked(&app).unwrap());
    let asks: Vec<_> = known.iter().flat_map(|(a, b)| [unchecked(a), unchecked(b)]).collect();
    let moments = [(1_700_000_000_000, "a1"), (1_700_000_000_000, "a1:kick"), (0, "1"), (1, "0")];

    let found = pairs(&app, &asks, &moments);
    let meanings: Vec<_> = known.iter().map(|(a, b)| (a.meaning(), b.meaning())).collect();
    assert_eq!(found, meanings.iter().map(|(a, b)| (a.min(b), a.max(b))).collect());
}

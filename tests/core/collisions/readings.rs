//! Every way to read a message that was signed for LeanCloud, in case of random requests.
//!
//! Random requests hardly ever collide. So here a message is taken apart at its separators in every way there is, the parts are taken for
//! every request they could be of, and each of those that is accepted and signs this very message must mean the same.

use chat_signer::model::{Action, Millis, SigningRequest};
use chat_signer::policy::for_operator;
use chat_signer::vendor::leancloud::{HistoryOrder, SigningJob as Signature};
use chat_signer::vendor::{App, Nonce, SignedResult, SigningJob, sign};
use proptest::prelude::*;
use proptest::sample::select;

use super::leancloud::{ACTIONS, APP_ID, IDS, Request, TIMES, app, message, needs, tied};

/// Checks a request, or not.
type Check = fn(&Request, &App) -> Option<SigningRequest>;

/// The requests that pass the check and sign this message, at some time and with some nonce.
///
/// Who sends a request to LeanCloud is free to choose both, so the nonce may be anything without a separator here, and need not be one
/// of ours.
fn readings(app: &App, text: &str, check: Check) -> Vec<(Request, SigningRequest)> {
    let rest = text.strip_prefix(APP_ID).and_then(|rest| rest.strip_prefix(':')).unwrap();
    let pieces: Vec<&str> = rest.split(':').collect();
    let candidates = groupings(&pieces).flat_map(|fields| candidates(&fields));
    let signs_this = |(request, timestamp, nonce): (Request, u64, String)| {
        let signing_request = check(&request, app)?;
        (message(app, &signing_request, timestamp, &nonce) == text).then_some((request, signing_request))
    };
    candidates.filter_map(signs_this).collect()
}

/// All ways to put neighbouring pieces together again.
fn groupings(pieces: &[&str]) -> impl Iterator<Item = Vec<String>> {
    let gaps = pieces.len() - 1;
    assert!(gaps < 12, "too many pieces to try all groupings");
    (0..1_u32 << gaps).map(move |cuts| {
        let mut fields = vec![pieces[0].to_owned()];
        for (gap, piece) in pieces[1..].iter().enumerate() {
            match fields.last_mut() {
                Some(last) if cuts & 1 << gap == 0 => *last = format!("{last}:{piece}"),
                _ => fields.push((*piece).to_owned()),
            }
        }
        fields
    })
}

/// What these fields could be, with a last word behind timestamp and nonce or none, in either order. Most of it is nonsense, which signs
/// something else.
fn candidates(fields: &[String]) -> Vec<(Request, u64, String)> {
    let mut found = Vec::new();
    for end in [fields.len(), fields.len() - 1] {
        let Some((front, [one, other])) = fields[..end].split_last_chunk::<2>() else { continue };
        let Some((client, named)) = front.split_first() else { continue };
        for (timestamp, nonce) in [(one, other), (other, one)] {
            let Some(timestamp) = timestamp.parse().ok().filter(|_| !nonce.contains(':')) else { continue };
            found.extend(requests(client, named).into_iter().map(|request| (request, timestamp, nonce.clone())));
        }
    }
    found
}

/// All requests of this client that name these, where one empty name may be none.
fn requests(client: &str, named: &[String]) -> Vec<Request> {
    let some = |ids: &[String]| if ids == [""] { vec![Vec::new(), ids.to_vec()] } else { vec![ids.to_vec()] };
    let alone = some(named).into_iter().map(|members| (None, members));
    let in_one = named.split_first().into_iter();
    let in_one = in_one.flat_map(|(first, rest)| some(rest).into_iter().map(|members| (Some(first.clone()), members)));
    let with_all_actions = |(conversation, members): (Option<String>, Vec<String>)| {
        let members = Some(members);
        let request = Request { action: Action::Login, client: client.to_owned(), conversation, members };
        ACTIONS.map(|action| Request { action, ..request.clone() })
    };
    alone.chain(in_one).flat_map(with_all_actions).collect()
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&IDS[..]).prop_map(str::to_owned),
        2 => "[a-c]{1,2}",
        1 => "[a1:_]{1,4}",
        1 => "_tmp:?[a1:]{0,3}",
        1 => "[0-9]{1,13}",
        1 => "(in:?vi?te|kick|(un)?block)[0-9]?",
        1 => "\\PC{1,4}",
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let members = proptest::option::weighted(0.7, proptest::collection::vec(id(), 0..4));
    (select(&ACTIONS[..]), id(), id(), members).prop_map(|(action, client, conversation, members)| {
        let conversation = Some(conversation).filter(|_| !matches!(action, Action::Login | Action::Create));
        let takes_members = !matches!(action, Action::Login | Action::History | Action::BlockConversation);
        Request { action, client, conversation, members: members.filter(|_| takes_members) }
    })
}

fn nonce() -> impl Strategy<Value = Nonce> {
    let chosen = prop_oneof!["[a-c][0-9]{1,2}", "(invite|kick|_tmp|[0-9])?[a-z]?:?[0-9]{0,13}", "[!-~]{2,6}"];
    prop_oneof![
        any::<[u8; 16]>().prop_map(Nonce::from_entropy),
        chosen.prop_filter_map("not a nonce", |text| Nonce::parse(&text).ok()),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![select(&TIMES[..]), 0_u64..100, any::<u64>()]
}

fn all_readings_agree(
    order: HistoryOrder,
    request: &Request,
    signing_request: &SigningRequest,
    time: u64,
    nonce: &Nonce,
) {
    let app = app(order);
    let text = message(&app, signing_request, time, nonce.as_str());
    let readings = readings(&app, &text, Request::accepted);
    let meaning = request.meaning();
    assert!(
        readings.iter().any(|(reading, _)| reading.meaning() == meaning),
        "{text}: the request itself is not found"
    );
    for (reading, other) in readings {
        let other_meaning = reading.meaning();
        assert!(meaning == other_meaning || tied(order, &meaning, &other_meaning), "{text}: {reading:?}");
        assert_eq!(needs(signing_request), needs(&other), "{text}: {reading:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_reading_of_a_signed_message_means_the_same(
        (order, request, signing_request) in (
            select(vec![HistoryOrder::NonceTimestamp, HistoryOrder::TimestampNonce]),
            request(),
        ).prop_filter_map("refused", |(order, request)| {
            let signing_request = request.accepted(&app(order))?;
            Some((order, request, signing_request))
        }),
        time in time(),
        nonce in nonce(),
    ) {
        all_readings_agree(order, &request, &signing_request, time, &nonce);
    }

    #[test]
    fn what_is_signed_is_the_message(request in request(), time in time(), nonce in nonce()) {
        let app = app(HistoryOrder::default());
        let Some(signing_request) = request.accepted(&app) else { return Ok(()) };
        let text = message(&app, &signing_request, time, nonce.as_str());
        let signed = sign(&app, &for_operator(signing_request), &SigningJob::LeanCloud(Signature), Millis(time), &nonce).unwrap();
        let SignedResult::Signature { signature, .. } = signed else { panic!("LeanCloud's answers are signatures") };
        prop_assert_eq!(app.verify(&text, &hex::decode(signature).unwrap()), Some(0));
    }
}

/// What the message for `request` means to who checks nothing but by `check`.
fn found(order: HistoryOrder, request: &Request, nonce: &str, check: Check) -> Vec<Request> {
    let app = app(order);
    let text = message(&app, &request.unchecked(&app).unwrap(), 1_700_000_000_000, nonce);
    readings(&app, &text, check).into_iter().map(|(reading, _)| reading).collect()
}

#[test]
fn a_number_for_a_nonce_would_make_a_history_a_creation() {
    let history = Request::new(Action::History, "tom", Some("mary"), Some(&[]));
    let creation = Request::new(Action::Create, "tom", None, Some(&["mary"]));
    let order = HistoryOrder::NonceTimestamp;
    assert!(found(order, &history, "12345", Request::accepted).contains(&creation));
    assert!(!found(order, &history, "n12345", Request::accepted).contains(&creation));
}

#[test]
fn without_the_checks_of_identifiers_more_readings_are_found() {
    for order in [HistoryOrder::NonceTimestamp, HistoryOrder::TimestampNonce] {
        let bare = Request::new(Action::Kick, "tom", Some("_tmp"), Some(&["x", "y"]));
        let temporary = Request::new(Action::Kick, "tom", Some("_tmp:x"), Some(&["y"]));
        assert_eq!(found(order, &bare, "a1", Request::accepted), std::slice::from_ref(&temporary));
        let unchecked = found(order, &bare, "a1", Request::unchecked);
        assert!(unchecked.contains(&bare) && unchecked.contains(&temporary));

        let nobody = Request::new(Action::Create, "tom", None, Some(&[""]));
        assert!(!found(order, &nobody, "a1", Request::accepted).contains(&nobody));
        assert!(found(order, &nobody, "a1", Request::unchecked).contains(&nobody));
    }
}

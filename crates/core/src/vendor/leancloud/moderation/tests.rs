#![allow(clippy::unwrap_used)]

use super::*;
use crate::vendor::moderation::DesiredState;

const NOW: Millis = Millis(1_000_000_000);
const GROUP: &str = r#"{"results":[{"objectId":"c1"}]}"#;

fn ban() -> DesiredState {
    DesiredState { banned: Some(SanctionEnd::Forever), ..DesiredState::default() }
}

fn mute(until: SanctionEnd) -> DesiredState {
    DesiredState { muted: Some(until), ..DesiredState::default() }
}

/// Asks all questions and answers them from this list. Then makes the plan.
fn plan(
    conversation: &str,
    want: &DesiredState,
    noted: Option<&str>,
    answers: &[&str],
) -> (Vec<String>, ModerationPlan) {
    let place = ModerationTarget {
        user: "al/ice",
        conversation,
        revision: 7,
        is_final: true,
        desired: want,
        checkpoint: noted,
    };
    let (mut found, mut asked, mut answers) = (ObservedState::default(), Vec::new(), answers.iter());
    while let Some((look, call)) = place.next_query(&found).unwrap() {
        asked.push(call.path);
        found.read(look, &place, answers.next().unwrap().as_bytes()).unwrap();
    }
    assert_eq!(answers.next(), None, "asked only {asked:?}");
    (asked, place.plan(&found, NOW).unwrap())
}

fn calls(plan: &ModerationPlan) -> Vec<String> {
    let short =
        |call: &VendorCall| format!("{} {} {}", call.method, call.path, call.body.as_deref().unwrap_or_default());
    plan.calls.iter().map(|call| short(call).trim_end().to_owned()).collect()
}

#[test]
fn a_ban_shuts_out_and_throws_out_and_is_undone() {
    let lists = [GROUP, r#"{"client_ids":["x"],"next":"a&b"}"#, r#"{"client_ids":[]}"#, r#"{"result":["al/ice"]}"#];
    let (asked, banned) = plan("c1", &ban(), None, &lists);
    assert_eq!(
        asked,
        [
            "/1.2/rtm/all-conversations?limit=2&where=%7B%22objectId%22%3A%22c1%22%7D",
            "/1.2/rtm/conversations/c1/blacklists?limit=100",
            "/1.2/rtm/conversations/c1/blacklists?limit=100&next=a%26b",
            "/1.2/rtm/conversations/c1/members",
        ]
    );
    assert_eq!(
        calls(&banned),
        [
            r#"POST /1.2/rtm/conversations/c1/blacklists {"client_ids":["al/ice"]}"#,
            r#"POST /1.2/rtm/clients/al%2Fice/kick {"reason":"banned"}"#,
        ]
    );
    assert!(banned.checkpoint_before.unwrap().contains(r#""kicked":null"#));
    let noted = banned.checkpoint_after;
    let (_, again) = plan("c1", &ban(), noted.as_deref(), &[GROUP]);
    assert_eq!(calls(&again), [r#"POST /1.2/rtm/conversations/c1/blacklists {"client_ids":["al/ice"]}"#]);
    let (_, lifted) = plan("c1", &DesiredState::default(), noted.as_deref(), &[GROUP]);
    assert_eq!(
        calls(&lifted),
        [
            r#"DELETE /1.2/rtm/conversations/c1/blacklists {"client_ids":["al/ice"]}"#,
            r#"POST /1.2/rtm/conversations/c1/members {"client_ids":["al/ice"]}"#,
        ]
    );
    assert_eq!((lifted.checkpoint_before, lifted.checkpoint_after), (noted, None));
}

#[test]
fn an_existing_black_list_entry_survives_a_ban() {
    let (_, banned) = plan("c1", &ban(), None, &[GROUP, r#"{"client_ids":["al/ice"]}"#]);
    assert_eq!(calls(&banned), [r#"POST /1.2/rtm/clients/al%2Fice/kick {"reason":"banned"}"#]);
    let (_, lifted) = plan("c1", &DesiredState::default(), banned.checkpoint_after.as_deref(), &[GROUP]);
    assert_eq!(calls(&lifted), Vec::<String>::new());
    assert_eq!(lifted.checkpoint_after, None);
}

#[test]
fn silences_last_and_are_renewed() {
    let day = MAX_SILENCE_MS;
    let none = [GROUP, r#"{"client_ids":[]}"#];
    let post = |ttl: u64| {
        format!(r#"POST /1.2/rtm/conversations/c1/temporary-silenceds {{"client_id":"al/ice","ttl":{ttl}}}"#)
    };
    let (_, brief) = plan("c1", &mute(SanctionEnd::At(Millis(NOW.0 + 1500))), None, &none);
    assert_eq!((calls(&brief), brief.renew_at), (vec![post(2)], None));
    let (_, long) = plan("c1", &mute(SanctionEnd::At(Millis(NOW.0 + 3 * day))), None, &none);
    assert_eq!((calls(&long), long.renew_at), (vec![post(86_400)], Some(Millis(NOW.0 + day - RENEWAL_MARGIN_MS))));

    let (_, longer) = plan("c1", &mute(SanctionEnd::Forever), long.checkpoint_after.as_deref(), &none);
    let made = calls(&longer);
    assert_eq!(made[0], r#"POST /1.2/rtm/conversations/c1/permanent-silenceds {"client_ids":["al/ice"]}"#);
    assert_eq!(made[1], "DELETE /1.2/rtm/conversations/c1/temporary-silenceds?client_id=al%2Fice");
    let (_, shorter) =
        plan("c1", &mute(SanctionEnd::At(Millis(NOW.0 + 1000))), longer.checkpoint_after.as_deref(), &[GROUP]);
    let made = calls(&shorter);
    assert_eq!(made[0], post(1));
    assert_eq!(made[1], r#"DELETE /1.2/rtm/conversations/c1/permanent-silenceds {"client_ids":["al/ice"]}"#);
    let both: LeanCloudCheckpoint = serde_json::from_str(shorter.checkpoint_before.as_deref().unwrap()).unwrap();
    assert!(both.silenced && both.silenced_for_good, "either can be undone after a crash");
    let (_, lifted) = plan("c1", &DesiredState::default(), shorter.checkpoint_after.as_deref(), &[GROUP]);
    assert_eq!(calls(&lifted), ["DELETE /1.2/rtm/conversations/c1/temporary-silenceds?client_id=al%2Fice"]);
}

#[test]
fn an_existing_silence_survives_a_mute() {
    let (_, muted) = plan("c1", &mute(SanctionEnd::Forever), None, &[GROUP, r#"{"client_ids":["al/ice"]}"#]);
    assert_eq!((calls(&muted), muted.checkpoint_after), (Vec::new(), None));
}

#[test]
fn kinds_have_folders_of_their_own_and_lack_something() {
    let room = r#"{"results":[{"objectId":"c1","tr":true}]}"#;
    let system = r#"{"results":[{"objectId":"c1","sys":true}]}"#;
    let (asked, _) = plan("c1", &ban(), None, &[room, r#"{"client_ids":[]}"#]);
    assert_eq!(asked[1], "/1.2/rtm/chatrooms/c1/blacklists?limit=100");
    let (_, muted) = plan("c1", &mute(SanctionEnd::Forever), None, &[system]);
    assert!(muted.unsupported.is_some() && muted.calls.is_empty());
    let (asked, banned) = plan("_tmp:x", &ban(), None, &[]);
    assert!(asked.is_empty() && banned.unsupported.is_some());
    assert_eq!(calls(&banned).len(), 1, "thrown out all the same");
    let (_, gone) = plan("c1", &ban(), Some(r#"{"blacklisted":{"was_member":true}}"#), &[r#"{"results":[]}"#]);
    assert_eq!((calls(&gone), gone.checkpoint_after), (Vec::new(), None));
}

#[test]
fn everywhere_is_a_kick_for_each_change() {
    let everywhere = |want: &DesiredState, noted: Option<&str>| {
        ModerationTarget {
            user: "alice",
            conversation: "*",
            revision: 7,
            is_final: true,
            desired: want,
            checkpoint: noted,
        }
        .plan_everywhere()
        .unwrap()
    };
    let want = DesiredState { reason: Some("spam".to_owned()), ..ban() };
    let banned = everywhere(&want, None);
    assert_eq!(calls(&banned), [r#"POST /1.2/rtm/clients/alice/kick {"reason":"spam"}"#]);
    assert!(everywhere(&want, banned.checkpoint_after.as_deref()).calls.is_empty());
    assert_eq!(everywhere(&DesiredState::default(), banned.checkpoint_after.as_deref()).checkpoint_after, None);
    assert!(everywhere(&mute(SanctionEnd::Forever), None).unsupported.is_some());
}

#[test]
fn a_user_is_kicked_again_when_all_servers_know_the_ban() {
    let want = ban();
    let (mut noted, mut kicks) = (None::<String>, Vec::new());
    for (revision, is_last) in [(7, false), (7, false), (7, true), (7, true), (8, true), (8, true), (9, false)] {
        let place = ModerationTarget {
            user: "alice",
            conversation: "*",
            revision,
            is_final: is_last,
            desired: &want,
            checkpoint: noted.as_deref(),
        };
        let plan = place.plan_everywhere().unwrap();
        assert_eq!(plan.checkpoint_before, noted, "until it was answered it counts as not done");
        kicks.push(plan.calls.len());
        noted = plan.checkpoint_after;
    }
    assert_eq!(kicks, [1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn answers_that_say_nothing_are_refused() {
    let want = ban();
    let place = ModerationTarget {
        user: "alice",
        conversation: "c1",
        revision: 7,
        is_final: true,
        desired: &want,
        checkpoint: None,
    };
    let read = |look, body: &str| ObservedState::default().read(look, &place, body.as_bytes());
    assert!(read(Observation::Conversation, "[]").is_err());
    assert!(read(Observation::Conversation, r#"{"results":[{"objectId":"c2"}]}"#).is_err());
    assert!(read(Observation::Blacklist, "{}").is_err());
    assert!(read(Observation::Members, r#"{"result":"alice"}"#).is_err());
    let mut found = ObservedState::default();
    let page = br#"{"client_ids":[],"next":"a"}"#;
    found.read(Observation::Blacklist, &place, page).unwrap();
    assert!(found.read(Observation::Blacklist, &place, page).is_err(), "a list that goes round in a circle");
}

#[test]
fn the_master_key_stands_in_a_header_and_nowhere_else() {
    let moderator = ModerationApi::new("id".to_owned(), Secret::new(b"canary".to_vec()));
    let headers = moderator.credentials().unwrap();
    assert_eq!(headers["x-lc-key"], "canary,master");
    assert!(headers["x-lc-key"].is_sensitive() && !format!("{moderator:?}{headers:?}").contains("canary"));
}

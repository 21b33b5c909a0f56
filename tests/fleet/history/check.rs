//! Checks a history.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clients::{Event, Request, name};
use super::deployment::Deployment;

/// How late a change can be made that was sent before Redis or a server stopped.
const LATE: Duration = Duration::from_secs(15);

/// Returns the logins whose answer contradicts the acknowledged changes, each with the change.
pub(super) fn violations(history: &[Event], max_staleness: Duration) -> Vec<(Event, Event)> {
    let changes = changes_by_user(history);
    let logins = history.iter().filter(|event| event.request == Request::Login);
    let violation = |login: &Event| {
        let (known, opposite) = match login.status {
            Some(200) => (Request::Ban, Request::Lift),
            Some(403) => (Request::Lift, Request::Ban),
            _ => return None,
        };
        let changes = changes.get(&login.user)?;
        // The last change that each server must know, unless it refuses everyone.
        let is_known = |change: &Event| {
            change.request == known && change.status == Some(200) && change.end + max_staleness <= login.start
        };
        let last = changes.iter().rposition(is_known)?;
        let is_undone = may_be_undone(changes, last, |change| change.request == opposite && change.start <= login.end);
        (!is_undone).then_some((*login, changes[last]))
    };
    logins.filter_map(violation).collect()
}

/// Returns whether another change may have been made after the change at the place `last`: a later change, or an earlier
/// change without a result, which Redis may have received late.
fn may_be_undone(changes: &[Event], last: usize, is_candidate: impl Fn(&Event) -> bool) -> bool {
    let is_late = |change: &Event| change.is_unknown() && change.end + LATE > changes[last].start;
    let (before, after) = (&changes[..last], &changes[last + 1..]);
    before.iter().any(|change| is_candidate(change) && is_late(change))
        || after.iter().any(|change| is_candidate(change) && (change.is_unknown() || change.status == Some(200)))
}

/// Checks that each server has what was acknowledged last, after all faults.
pub(super) fn check_final_state(history: &[Event], deployment: &Deployment) {
    let banned = deployment.banned();
    for (user, changes) in changes_by_user(history) {
        let Some(last) = changes.iter().rposition(|change| change.status == Some(200)) else { continue };
        let change = changes[last];
        if !may_be_undone(&changes, last, |other| other.request != change.request) {
            let is_banned = banned.contains(&name(user));
            assert_eq!(is_banned, change.request == Request::Ban, "{} after {change:?}", name(user));
        }
    }
}

impl Event {
    /// Returns whether nobody knows if the change was made.
    fn is_unknown(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

fn changes_by_user(history: &[Event]) -> BTreeMap<usize, Vec<Event>> {
    let mut changes: BTreeMap<usize, Vec<Event>> = BTreeMap::new();
    for event in history.iter().filter(|event| event.request != Request::Login) {
        changes.entry(event.user).or_default().push(*event);
    }
    changes
}

/// Returns the number of requests by kind and answer, and the longest time for which a ban was not obeyed.
pub(super) fn summary(history: &[Event]) -> String {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in history {
        let status = event.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        *counts.entry((format!("{:?}", event.request), status)).or_default() += 1;
    }
    let counts: Vec<_> =
        counts.iter().map(|((request, status), count)| format!("{request} {status}: {count}")).collect();
    let latest = longest_delay(history).as_secs_f64();
    format!("{}; a signature at most {latest:.3} s after an acknowledged ban", counts.join(", "))
}

/// Returns the longest time between an acknowledged ban and a later request that was signed, if no lift explains it.
fn longest_delay(history: &[Event]) -> Duration {
    let delay = |(login, ban): &(Event, Event)| {
        if login.status == Some(200) { login.start.saturating_sub(ban.end) } else { Duration::ZERO }
    };
    violations(history, Duration::ZERO).iter().map(delay).max().unwrap_or_default()
}

#[test]
fn a_signature_for_a_banned_user_is_a_violation() {
    let at = Duration::from_secs;
    let event = |request, start, end, status| Event { user: 0, request, start: at(start), end: at(end), status };
    let ban = event(Request::Ban, 0, 1, Some(200));
    let found = |history: &[Event]| violations(history, at(3)).len();
    assert_eq!(found(&[ban, event(Request::Login, 3, 5, Some(200))]), 0, "within the staleness");
    assert_eq!(found(&[ban, event(Request::Login, 4, 5, Some(200))]), 1);
    assert_eq!(found(&[ban, event(Request::Login, 4, 5, Some(503))]), 0);
    for (status, violations) in [(Some(200), 0), (Some(503), 0), (None, 0), (Some(400), 1)] {
        let lift = event(Request::Lift, 2, 3, status);
        assert_eq!(found(&[ban, lift, event(Request::Login, 9, 9, Some(200))]), violations);
    }
    let unknown = event(Request::Lift, 0, 0, Some(503));
    assert_eq!(found(&[unknown, ban, event(Request::Login, 9, 9, Some(200))]), 0, "it may have been made late");
    let lift = event(Request::Lift, 2, 3, Some(200));
    assert_eq!(found(&[ban, lift, event(Request::Login, 9, 9, Some(403))]), 1, "a lift is obeyed, too");
}

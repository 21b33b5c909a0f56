//! The effects of a change: events for subscribers, jobs for the outbox, and lines of the audit log for changes that no
//! request asked for: entries that ended by themselves, and imports by an operator.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock;
use crate::config::Settings;
use crate::crypto::{hex, percent_encode, sha256};
use crate::model::{Millis, Pattern};
use crate::moderation::store::{NewChange, NewJob, StoreHead, queue_name};
use crate::policy::{EntryAuthor, EntryOrigin};
use crate::telemetry::outbox::DeliveryKind;
use crate::telemetry::{AuditCaller, AuditEvent, ModerationRecord};
use chat_signer_core::moderation::{
    CommandOutcome, EntryRecord, ModerationCommand, ModerationEntry, ModerationIndex, RoleAssignment,
};

/// The recipients of events, and the apps at whose vendors bans and mutes are enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSubscribers {
    /// The apps at whose vendors bans and mutes are enforced.
    pub enforced: Vec<Arc<str>>,
    /// The URLs of the webhooks that receive events.
    pub webhooks: Vec<String>,
}

impl ChangeSubscribers {
    /// Creates the subscribers from the settings.
    pub fn from_settings(settings: &Settings) -> ChangeSubscribers {
        let Settings { enforcements, webhooks, .. } = settings;
        ChangeSubscribers {
            enforced: enforcements.iter().map(|enforcement| Arc::clone(&enforcement.app)).collect(),
            webhooks: webhooks.iter().map(|webhook| webhook.endpoint.url.to_string()).collect(),
        }
    }
}

impl ChangeSubscribers {
    /// Returns the queues of jobs of this kind.
    pub fn queues(&self, kind: DeliveryKind) -> Vec<String> {
        match kind {
            DeliveryKind::Enforcement => self.enforced.iter().flat_map(|app| enforcement_queues(app)).collect(),
            DeliveryKind::Webhook => self.webhooks.iter().flat_map(|url| webhook_queues(url)).collect(),
        }
    }
}

/// The last part of the keys of events with separate queues, so that other events do not wait for them: ended and imported
/// entries, and blocks, which any user can make without limit.
const BACKGROUND_LANE: &str = ":*background";
const BLOCK_LANE: &str = ":*blocks";

/// The context of a change.
pub(super) struct ChangeContext<'a> {
    pub(super) plan: &'a ChangeSubscribers,
    pub(super) head: &'a StoreHead,
    pub(super) now: Millis,
    /// Whether no moderator makes the change now. The events of other changes are sent first.
    pub(super) is_background: bool,
}

/// The kind of change of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Set,
    Lifted,
    Expired,
}

/// A changed entry, for its event.
pub(super) struct EventSubject<'a> {
    pub(super) record: &'a ModerationEntry,
    /// The entry that no longer applies, if one ended.
    pub(super) ended: Option<&'a ModerationEntry>,
    pub(super) kind: ChangeKind,
    /// The author of the change. `None`: the entry ended by itself.
    pub(super) by: Option<&'a EntryAuthor>,
}

impl EventSubject<'_> {
    /// Returns the data of the event: the record, the number of the change, and the author and time of an entry that
    /// ended.
    fn data(&self, change: u64) -> Value {
        let mut data = json!(EntryRecord::from(self.record).for_event(self.by));
        data["change"] = change.into();
        if let Some(EntryOrigin::Runtime { author, at }) = self.ended.map(ModerationEntry::origin) {
            data["author"] = json!(EntryAuthor { role: None, ..EntryAuthor::clone(author) });
            data["at"] = at.to_string().into();
        }
        data
    }
}

/// Builds the change for the outcome of a command: the entries to set and to delete, the events and the jobs. `index`
/// has the entries before the change.
pub(super) fn build_change(
    ruling: &CommandOutcome,
    by: &EntryAuthor,
    plan: &ChangeSubscribers,
    (index, head): (&ModerationIndex, &StoreHead),
    now: Millis,
) -> NewChange {
    let (mut commit, context) = (NewChange::default(), ChangeContext { plan, head, now, is_background: false });
    for record in &ruling.set {
        commit.puts.push((record.key().to_string(), Some(record.value())));
        let removed = matches!(record, ModerationEntry::Role(RoleAssignment { role: None, .. }));
        let before = removed.then(|| index.find(&record.key())).flatten();
        let about = EventSubject { record, ended: before.as_ref(), kind: ChangeKind::Set, by: Some(by) };
        context.add_event_and_jobs(&mut commit, &about);
    }
    for record in &ruling.deleted {
        commit.puts.push((record.key().to_string(), None));
        let about = EventSubject { record, ended: Some(record), kind: ChangeKind::Lifted, by: Some(by) };
        context.add_event_and_jobs(&mut commit, &about);
    }
    remove_duplicate_jobs(&mut commit.jobs);
    commit
}

/// Returns the jobs that update vendors although no entry changes. A caller may repeat a command because a vendor does
/// not know its effect. For example, the job became a dead letter, or the bans of the app were not enforced before.
pub(super) fn repeat_enforcement_jobs(
    ruling: &CommandOutcome,
    command: &ModerationCommand,
    plan: &ChangeSubscribers,
) -> Vec<NewJob> {
    let apps = || plan.enforced.iter().filter(|app| command.app.as_ref().is_none_or(|own| own == *app));
    ruling
        .enforce_again
        .iter()
        .flat_map(|user| apps().map(move |app| build_enforcement_job(app, user, &command.scope)))
        .collect()
}

/// Builds the change that deletes ended entries.
pub(super) fn build_expiry_change(
    ended: &[ModerationEntry],
    plan: &ChangeSubscribers,
    head: &StoreHead,
    now: Millis,
) -> NewChange {
    let (mut commit, context) = (NewChange::default(), ChangeContext { plan, head, now, is_background: true });
    for record in ended {
        commit.puts.push((record.key().to_string(), None));
        let about = EventSubject { record, ended: Some(record), kind: ChangeKind::Expired, by: None };
        context.add_event_and_jobs(&mut commit, &about);
    }
    remove_duplicate_jobs(&mut commit.jobs);
    commit
}

impl ChangeContext<'_> {
    /// Adds the event and the jobs for a changed entry. The same job may be added more than once.
    pub(super) fn add_event_and_jobs(&self, commit: &mut NewChange, about: &EventSubject<'_>) {
        let EventSubject { record, kind, .. } = about;
        let (version, number) = (self.head.version + 1, commit.events.len() + 1);
        let id = format!("{}-{version}-{number}", self.head.epoch);
        let data = about.data(version);
        let event = json!({ "id": id, "type": event_type(record, *kind), "time": self.now.to_string(), "data": data });
        let lane = match record {
            ModerationEntry::Block(_) => BLOCK_LANE,
            _ if self.is_background => BACKGROUND_LANE,
            _ => "",
        };
        let user = percent_encode(record.name().as_bytes());
        for webhook in &self.plan.webhooks {
            let key = format!("webhook:{}:{user}:{version:016}-{number:05}{lane}", webhook_hash(webhook));
            commit.jobs.push(NewJob { key, body: json!({ "webhook": webhook, "event": event }).to_string() });
        }
        commit.events.push(event.to_string());
        for app in self.plan.enforced.iter().filter(|app| record.is_for_app(app)) {
            commit.jobs.extend(enforcement_job(record, app));
        }
    }
}

/// Removes duplicate jobs. Several entries can concern the same user and scope.
pub(super) fn remove_duplicate_jobs(jobs: &mut Vec<NewJob>) {
    let mut seen = HashSet::with_capacity(jobs.len());
    jobs.retain(|job| seen.insert(job.key.clone()));
}

/// Returns the queues of the enforcement jobs of an app: for single conversations, and for all conversations at once.
pub fn enforcement_queues(app: &str) -> [String; 2] {
    ["", "*"].map(|place| queue_name(&format!("enforce:{}::{place}", percent_encode(app.as_bytes()))))
}

/// Returns the queues of a webhook: for what moderators do, for ended and imported entries, and for blocks.
pub fn webhook_queues(url: &str) -> [String; 3] {
    ["", BACKGROUND_LANE, BLOCK_LANE].map(|lane| queue_name(&format!("webhook:{}:{lane}", webhook_hash(url))))
}

/// Returns the hash that names a webhook in job keys. The URL of the webhook may hold a secret.
fn webhook_hash(webhook: &str) -> String {
    hex(&sha256(webhook.as_bytes()))
}

/// Returns the job that enforces the entry at a vendor: all sanctions of the user in its conversation, or in all
/// conversations.
fn enforcement_job(record: &ModerationEntry, app: &str) -> Option<NewJob> {
    let sanction = record.sanction()?;
    Some(build_enforcement_job(app, &sanction.user, &sanction.scope))
}

/// Returns the beginning of the keys of the enforcement jobs of a user.
pub fn enforcement_key_prefix(app: &str, user: &str) -> String {
    format!("enforce:{}:{}:", percent_encode(app.as_bytes()), percent_encode(user.as_bytes()))
}

pub(super) fn build_enforcement_job(app: &str, user: &str, scope: &Pattern) -> NewJob {
    let conversation = scope.home_conversation().exact().map(str::to_owned);
    let place = conversation.as_deref().map_or_else(|| "*".to_owned(), |name| percent_encode(name.as_bytes()));
    let key = format!("{}{place}", enforcement_key_prefix(app, user));
    NewJob { key, body: json!({ "app": app, "user": user, "conversation": conversation }).to_string() }
}

pub(super) fn event_type(record: &ModerationEntry, fate: ChangeKind) -> &'static str {
    match (record, fate) {
        (ModerationEntry::Ban(_), ChangeKind::Set) => "ban.created",
        (ModerationEntry::Ban(_), ChangeKind::Lifted) => "ban.lifted",
        (ModerationEntry::Ban(_), ChangeKind::Expired) => "ban.expired",
        (ModerationEntry::Mute(_), ChangeKind::Set) => "mute.created",
        (ModerationEntry::Mute(_), ChangeKind::Lifted) => "mute.lifted",
        (ModerationEntry::Mute(_), ChangeKind::Expired) => "mute.expired",
        (ModerationEntry::Role(assignment), ChangeKind::Set) if assignment.role.is_some() => "role.set",
        (ModerationEntry::Role(_), _) => "role.removed",
        (ModerationEntry::Block(_), ChangeKind::Set) => "block.created",
        (ModerationEntry::Block(_), _) => "block.lifted",
        (ModerationEntry::Conversation(conversation), ChangeKind::Set) if !conversation.forgotten => "conversation.set",
        (ModerationEntry::Conversation(_), _) => "conversation.forgotten",
    }
}

/// Returns the audit log line for a changed entry. `change` is the number of the change, if known. `caller` made the
/// change; it is `None` if the entry ended by itself.
pub(super) fn audit_line(
    record: &ModerationEntry,
    fate: ChangeKind,
    change: Option<u64>,
    caller: Option<AuditCaller<'_>>,
) -> Vec<u8> {
    let EntryRecord { app, at, by, conversation, kind, owner, reason, role, until, user, .. } = record.into();
    let event = ModerationRecord {
        time: clock::now(),
        event: event_type(record, fate),
        caller,
        app: app.as_deref(),
        conversation: conversation.as_deref().unwrap_or("*"),
        targets: user.as_slice(),
        change,
        role: role.as_deref(),
        kind,
        owner: owner.as_deref(),
        until,
        reason: reason.as_deref(),
        by: by.as_ref(),
        at,
    };
    // The record always serializes to JSON.
    AuditEvent::Moderation(&event).line().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Sanction;

    fn sanction(user: &str) -> Sanction {
        let author =
            Arc::new(EntryAuthor { kind: crate::model::CallerKind::Service, subject: "orders".into(), role: None });
        let (user, scope, at) = (user.to_owned(), Pattern::Everything, Millis(0));
        Sanction { user, scope, app: None, until: None, reason: None, origin: EntryOrigin::Runtime { author, at } }
    }

    #[test]
    fn duplicate_jobs_are_removed() {
        let plan = ChangeSubscribers {
            enforced: vec!["ably".into(), "talkjs".into()],
            webhooks: vec!["https://a.example".into()],
        };
        let ended = ["tom", "zoe"]
            .map(|user| [ModerationEntry::Ban(sanction(user)), ModerationEntry::Mute(sanction(user))])
            .concat();
        let head = StoreHead { epoch: "e".to_owned(), ..StoreHead::default() };
        let made = build_expiry_change(&ended, &plan, &head, Millis(0));
        let keys: Vec<_> = made.jobs.iter().filter_map(|job| job.key.strip_prefix("enforce:")).collect();
        assert_eq!(keys, ["ably:tom:*", "talkjs:tom:*", "ably:zoe:*", "talkjs:zoe:*"]);
        assert_eq!((made.events.len(), made.jobs.len()), (4, 8));
        let queues: HashSet<_> = made.jobs.iter().map(|job| queue_name(&job.key)).collect();
        let [[_, ably], [_, talkjs]] = ["ably", "talkjs"].map(enforcement_queues);
        assert_eq!(queues, HashSet::from([ably, talkjs, webhook_queues("https://a.example")[1].clone()]));
    }
}

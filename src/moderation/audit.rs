//! Audit log lines for changes that no request asked for: entries that end by themselves, and imports by an operator.

use super::entry::ModerationEntry;
use super::event::{ChangeKind, event_type};
use crate::clock;
use crate::policy::{EntryOrigin, RoleGrant};
use crate::telemetry::{AuditCaller, ModerationRecord};

/// Returns the audit log line for a changed entry. `change` is the number of the change, if known. `caller` made the
/// change; it is `None` if the entry ended by itself.
pub(super) fn audit_line(
    record: &ModerationEntry,
    fate: ChangeKind,
    change: Option<u64>,
    caller: Option<AuditCaller<'_>>,
) -> Vec<u8> {
    let (mut occurrence, user) = (ModerationRecord::new(event_type(record, fate), clock::now()), [record.name()]);
    occurrence.caller = caller;
    occurrence.app = record.app().map(|app| &**app);
    occurrence.conversation = record.scope().map(ToString::to_string);
    occurrence.targets = &user;
    occurrence.change = change;
    occurrence.until = record.until().map(|until| until.to_string());
    match record {
        ModerationEntry::Role(_, tenure) => {
            occurrence.role = if let RoleGrant::RoleName(word) = &tenure.grant { Some(word) } else { None };
        }
        ModerationEntry::Conversation(conversation) => {
            occurrence.conversation = Some(conversation.id.clone());
            occurrence.targets = &[];
            occurrence.kind = Some(conversation.kind.as_str());
            occurrence.owner = conversation.owner.as_deref();
        }
        ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => {
            occurrence.reason = sanction.reason.as_deref()
        }
        ModerationEntry::Block(_) => {}
    }
    if let EntryOrigin::Runtime { author, at } = record.origin() {
        (occurrence.by, occurrence.at) = (Some(&**author), Some(at.to_string()));
    }
    // The record always serializes to JSON.
    occurrence.line().unwrap_or_default()
}

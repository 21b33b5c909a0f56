//! Moderation entries as JSON, including those of the policy file.

use serde_json::{Map, Value, json};

use crate::model::{Pattern, Role};
use crate::moderation::{EntryKind, ModerationEntry, RegisteredConversation, details};
use crate::policy::{EntryOrigin, PolicyDocument, RoleBinding, RoleGrant};

/// Returns an entry as JSON, with its origin.
pub(super) fn entry_json(record: &ModerationEntry) -> Map<String, Value> {
    let mut entry = details(record);
    match record.origin() {
        EntryOrigin::File { line } => {
            entry.insert("source".to_owned(), json!("file"));
            entry.insert("line".to_owned(), json!(line));
        }
        EntryOrigin::Runtime { author, at } => {
            entry.insert("by".to_owned(), json!(**author));
            entry.insert("at".to_owned(), json!(at.to_string()));
            entry.insert("source".to_owned(), json!("moderation"));
        }
    }
    entry
}

/// Returns the entries of a table in the policy file, in the order of the file. Roles from bindings come before roles
/// from the lists of the conversations.
pub(super) fn file_entries(
    document: &PolicyDocument,
    table: EntryKind,
) -> Box<dyn Iterator<Item = ModerationEntry> + Send + '_> {
    let entries = &document.entries;
    match table {
        EntryKind::Bans => Box::new(entries.bans.iter().cloned().map(ModerationEntry::Ban)),
        EntryKind::Mutes => Box::new(entries.mutes.iter().cloned().map(ModerationEntry::Mute)),
        EntryKind::Blocks => Box::new(entries.blocks.iter().cloned().map(ModerationEntry::Block)),
        EntryKind::Roles => Box::new(file_roles(document)),
        EntryKind::Conversations => Box::new(entries.conversations.iter().map(|filed| {
            let owner = document.role_hierarchy.find("owner");
            let owner = filed.members.iter().find(|(_, role)| owner.is_some() && *role == owner);
            ModerationEntry::Conversation(RegisteredConversation {
                id: filed.id.clone(),
                app: filed.app.clone(),
                kind: filed.kind,
                owner: owner.map(|(user, _)| user.clone()),
                forgotten: false,
                origin: EntryOrigin::File { line: filed.line },
            })
        })),
    }
}

fn file_roles(document: &PolicyDocument) -> impl Iterator<Item = ModerationEntry> + '_ {
    let role_binding = |user: &str, scope: Pattern, app: &Option<_>, role: Option<Role>, line| {
        let held =
            role.map_or(RoleGrant::Role(None), |role| RoleGrant::RoleName(document.role_hierarchy.name(role).into()));
        let origin = EntryOrigin::File { line };
        ModerationEntry::Role(
            user.to_owned(),
            RoleBinding { scope, app: Option::clone(app), grant: held, listed: false, origin },
        )
    };
    let bound = document.entries.bindings.iter();
    let bound = bound.map(move |one| role_binding(&one.user, one.scope.clone(), &one.app, one.role, one.line));
    let listed = document.entries.conversations.iter().flat_map(move |conversation| {
        let scope = Pattern::Exact(conversation.id.clone());
        let people = conversation.members.iter();
        people.map(move |(user, role)| role_binding(user, scope.clone(), &conversation.app, *role, conversation.line))
    });
    bound.chain(listed)
}

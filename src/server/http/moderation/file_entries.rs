//! The entries of the policy file, in the form of moderation entries.

use std::sync::Arc;

use crate::model::{Pattern, Role};
use crate::moderation::{EntryKind, ModerationEntry, ModerationIndex, RegisteredConversation, RoleAssignment};
use crate::policy::{EntryOrigin, EntryRef, Policy, PolicyDocument, RoleBinding, RoleGrant, UserEntry};

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

/// Returns the entries of a user: those of the policy file, then those that were made at run time.
pub(super) fn entries_of_user(policy: &Policy, index: &ModerationIndex, user: &str) -> Vec<ModerationEntry> {
    let filed = policy.entries().all_about(user).map(|entry| file_entry(policy.document(), entry));
    let tables = [EntryKind::Bans, EntryKind::Mutes, EntryKind::Roles, EntryKind::Blocks];
    filed.chain(tables.into_iter().flat_map(|table| index.entries_of_user(table, user))).collect()
}

/// Returns an entry of the policy file about a user.
pub(super) fn file_entry(document: &PolicyDocument, entry: EntryRef<'_>) -> ModerationEntry {
    match entry.to_entry() {
        UserEntry::Ban(ban) => ModerationEntry::Ban(ban),
        UserEntry::Mute(mute) => ModerationEntry::Mute(mute),
        UserEntry::Block(block) => ModerationEntry::Block(block),
        UserEntry::Role(RoleBinding { scope, app, grant, origin, .. }) => {
            let role = match grant {
                RoleGrant::Role(role) => role.map(|role| Arc::from(document.role_hierarchy.name(role))),
                RoleGrant::RoleName(name) => Some(name),
                RoleGrant::Removed | RoleGrant::Remembered => None,
            };
            ModerationEntry::Role(RoleAssignment { user: entry.user().to_owned(), scope, app, role, origin })
        }
    }
}

fn file_roles(document: &PolicyDocument) -> impl Iterator<Item = ModerationEntry> + '_ {
    let assignment = |user: &str, scope: Pattern, app: &Option<Arc<str>>, role: Option<Role>, line| {
        // A role that the policy does not list grants nothing.
        let role = role.map(|role| Arc::from(document.role_hierarchy.name(role)));
        let (user, app, origin) = (user.to_owned(), app.clone(), EntryOrigin::File { line });
        ModerationEntry::Role(RoleAssignment { user, scope, app, role, origin })
    };
    let bound = document.entries.bindings.iter();
    let bound = bound.map(move |one| assignment(&one.user, one.scope.clone(), &one.app, one.role, one.line));
    let listed = document.entries.conversations.iter().flat_map(move |conversation| {
        let scope = Pattern::Exact(conversation.id.clone());
        let people = conversation.members.iter();
        people.map(move |(user, role)| assignment(user, scope.clone(), &conversation.app, *role, conversation.line))
    });
    bound.chain(listed)
}

//! Entries as lists tell them, those of the policy file among them.

use serde_json::{Map, Value, json};

use crate::model::{Pattern, Role};
use crate::policy::{EntryOrigin, PolicyDocument, RoleBinding, RoleGrant};
use crate::roster::{Record, RegisteredConversation, Table, details};

/// What an entry says, and by whose word.
pub(super) fn json(record: &Record) -> Map<String, Value> {
    let mut entry = details(record);
    match record.origin() {
        EntryOrigin::File { line } => {
            entry.insert("source".to_owned(), json!("file"));
            entry.insert("line".to_owned(), json!(line));
        }
        EntryOrigin::Roster { author, at } => {
            entry.insert("by".to_owned(), json!(**author));
            entry.insert("at".to_owned(), json!(at.to_string()));
            entry.insert("source".to_owned(), json!("roster"));
        }
    }
    entry
}

/// The policy file's entries of a table, in the file's order: roles by bindings before those by the conversations' own lists.
pub(super) fn filed(document: &PolicyDocument, table: Table) -> Box<dyn Iterator<Item = Record> + Send + '_> {
    let entries = &document.entries;
    match table {
        Table::Bans => Box::new(entries.bans.iter().cloned().map(Record::Ban)),
        Table::Mutes => Box::new(entries.mutes.iter().cloned().map(Record::Mute)),
        Table::Blocks => Box::new(entries.blocks.iter().cloned().map(Record::Block)),
        Table::Roles => Box::new(roles(document)),
        Table::Conversations => Box::new(entries.conversations.iter().map(|filed| {
            let owner = document.ladder.role("owner");
            let owner = filed.people.iter().find(|(_, role)| owner.is_some() && *role == owner);
            Record::Conversation(RegisteredConversation {
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

fn roles(document: &PolicyDocument) -> impl Iterator<Item = Record> + '_ {
    let tenure = |user: &str, scope: Pattern, app: &Option<_>, role: Option<Role>, line| {
        let held = role.map_or(RoleGrant::Role(None), |role| RoleGrant::Word(document.ladder.word(role).into()));
        let origin = EntryOrigin::File { line };
        Record::Role(user.to_owned(), RoleBinding { scope, app: Option::clone(app), held, listed: false, origin })
    };
    let bound = document.entries.bindings.iter();
    let bound = bound.map(move |one| tenure(&one.user, one.scope.clone(), &one.app, one.role, one.line));
    let listed = document.entries.conversations.iter().flat_map(move |conversation| {
        let scope = Pattern::Exact(conversation.id.clone());
        let people = conversation.people.iter();
        people.map(move |(user, role)| tenure(user, scope.clone(), &conversation.app, *role, conversation.line))
    });
    bound.chain(listed)
}

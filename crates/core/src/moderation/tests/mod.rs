//! Tests of entries of every shape, as stored and as indexed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod index;
mod keys;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::entry::{ModerationEntry, RegisteredConversation, RoleAssignment};
use crate::model::{CallerKind, ConversationKind, Millis, Pattern};
use crate::policy::{Block, EntryAuthor, EntryOrigin, Sanction};

/// Generates entries about these users, scopes and apps.
fn any_entry(
    user: BoxedStrategy<String>,
    place: BoxedStrategy<Pattern>,
    conversation: BoxedStrategy<String>,
    app: BoxedStrategy<Option<Arc<str>>>,
) -> BoxedStrategy<ModerationEntry> {
    let until = proptest::option::of((0..4_u64).prop_map(Millis));
    let reason = proptest::option::of(user.clone());
    let sanction = (user.clone(), place.clone(), app.clone(), until, reason, origin(user.clone()));
    let sanction = sanction.prop_map(|(user, scope, app, until, reason, origin)| Sanction {
        user,
        scope,
        app,
        until,
        reason,
        origin,
    });
    let sanction = sanction.boxed();
    let held = prop_oneof![Just(None), user.clone().prop_map(|word| Some(word.into()))];
    let role = (user.clone(), place.clone(), app.clone(), held, origin(user.clone()));
    let role = role.prop_map(|(user, scope, app, role, origin)| {
        ModerationEntry::Role(RoleAssignment { user, scope, app, role, origin })
    });
    let block = (user.clone(), place, app.clone(), origin(user.clone()));
    let block = block.prop_map(|(user, conversation, app, origin)| Block { user, conversation, app, origin });
    let kind = select(ConversationKind::ALL.to_vec());
    let owner = proptest::option::of(user.clone());
    let conversation = (conversation, app, kind, owner, any::<bool>(), origin(user));
    let conversation = conversation.prop_map(|(id, app, kind, owner, forgotten, origin)| {
        ModerationEntry::Conversation(RegisteredConversation { id, app, kind, owner, forgotten, origin })
    });
    prop_oneof![
        sanction.clone().prop_map(ModerationEntry::Ban),
        sanction.prop_map(ModerationEntry::Mute),
        role,
        block.prop_map(ModerationEntry::Block),
        conversation,
    ]
    .boxed()
}

fn origin(name: BoxedStrategy<String>) -> impl Strategy<Value = EntryOrigin> {
    let kind = select(vec![CallerKind::User, CallerKind::Service]);
    (kind, name.clone(), proptest::option::of(name), 0..9_u64).prop_map(|(kind, subject, role, at)| {
        let author = Arc::new(EntryAuthor { kind, subject, role });
        EntryOrigin::Runtime { author, at: Millis(at) }
    })
}

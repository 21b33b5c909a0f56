//! What a moderator wants changed, and of whom.

use std::sync::Arc;

use crate::engine::Engine;
use crate::model::{Action, ConversationKind, Millis, Pattern, RequiredAction, SigningRequest};
use crate::vendor::App;

/// Something to be done to users in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModerationCommand {
    /// What.
    pub deed: CommandKind,
    /// To whom; of what is about a conversation, its id.
    pub users: Vec<String>,
    /// Where.
    pub scope: Pattern,
    /// The one app that it is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// The moderator: the user as whom the caller acts; empty where a service acts as itself.
    pub client: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Keep from everything.
    Ban(SanctionTerms),
    /// Let again.
    LiftBan,
    /// Keep from sending.
    Mute(SanctionTerms),
    /// Let send again.
    LiftMute,
    /// Give a role.
    SetRole(String),
    /// Take a role.
    RemoveRole(String),
    /// Not be added to a conversation any more: what a user does to itself.
    Block,
    /// Take that back.
    LiftBlock,
    /// Register a conversation.
    SetConversation {
        /// Its kind; as before, or what its id says, where there is none.
        kind: Option<ConversationKind>,
        /// Its owner; as before where there is none.
        owner: Option<String>,
    },
    /// Forget a conversation.
    ForgetConversation,
}

/// How long something holds, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SanctionTerms {
    /// When it ends; for good, where there is none.
    pub until: Option<Millis>,
    /// Why.
    pub reason: Option<String>,
}

impl CommandKind {
    /// The action that the policy is asked about.
    pub fn action(&self) -> Action {
        match self {
            CommandKind::Ban(_) => Action::Ban,
            CommandKind::LiftBan => Action::Unban,
            CommandKind::Mute(_) => Action::Mute,
            CommandKind::LiftMute => Action::Unmute,
            CommandKind::SetRole(_) | CommandKind::RemoveRole(_) => Action::SetRole,
            CommandKind::Block => Action::BlockConversation,
            CommandKind::LiftBlock => Action::UnblockConversation,
            CommandKind::SetConversation { .. } | CommandKind::ForgetConversation => Action::ManageConversation,
        }
    }

    /// Whether it is done to those it names, or to who asks or to a conversation.
    pub fn has_targets(&self) -> bool {
        !self.is_for_oneself() && !self.is_about_conversation()
    }

    fn is_for_oneself(&self) -> bool {
        matches!(self, CommandKind::Block | CommandKind::LiftBlock)
    }

    fn is_about_conversation(&self) -> bool {
        matches!(self, CommandKind::SetConversation { .. } | CommandKind::ForgetConversation)
    }
}

impl ModerationCommand {
    /// The apps that it is about: where that one isn't configured, those that are, at all of which it must be allowed.
    pub fn apps<'e>(&self, engine: &'e Engine) -> impl Iterator<Item = &'e App> + use<'_, 'e> {
        let named = self.app.as_ref().filter(|_| !self.is_stray(engine));
        engine.apps.iter().filter(move |app| named.is_none_or(|own| own == app.name()))
    }

    /// What the policy is asked about all of it at one app.
    pub fn ask(&self, app: &App) -> SigningRequest {
        self.ask_of(app, self.users.clone())
    }

    /// What the policy is asked about it at one app, for one of the users.
    pub(super) fn ask_about(&self, app: &App, user: &str) -> SigningRequest {
        self.ask_of(app, vec![user.to_owned()])
    }

    /// An entry for a room affects its channels too, in which the moderator's role may be another: so the policy is asked about them all.
    fn ask_of(&self, app: &App, users: Vec<String>) -> SigningRequest {
        let action = self.deed.action();
        let (members, targets) =
            if self.deed.has_targets() { (self.users.clone(), users) } else { (Vec::new(), Vec::new()) };
        let affected = self.scope.affected().into_iter();
        let needs = affected
            .map(|place| RequiredAction { action, conversation: Some(place), targets: targets.clone() })
            .collect();
        SigningRequest {
            app: Arc::clone(app.name()),
            vendor: app.vendor(),
            action,
            client: self.client.clone(),
            conversation: Some(self.scope.clone()),
            members,
            needs,
            wants: Vec::new(),
        }
    }

    /// Whether it is done to who asks.
    pub(super) fn is_for_oneself(&self) -> bool {
        self.deed.is_for_oneself()
    }

    /// Whether it is done to a conversation, which stands for a user then.
    pub(super) fn is_about_conversation(&self) -> bool {
        self.deed.is_about_conversation()
    }

    /// Whether the place is just the conversation of this name.
    pub(super) fn is_named_by(&self, name: &str) -> bool {
        let home = Pattern::Exact(name.to_owned()).home().into_owned();
        self.scope.exact().is_some() && self.scope == home
    }
}

/// Reading the moderation entries in a place: what the policy is asked about it.
pub fn reading(app: &App, client: &str, place: &Pattern) -> SigningRequest {
    let action = Action::ReadModeration;
    let conversation = Some(place.clone());
    SigningRequest {
        app: Arc::clone(app.name()),
        vendor: app.vendor(),
        action,
        client: client.to_owned(),
        conversation: conversation.clone(),
        members: Vec::new(),
        needs: vec![RequiredAction { action, conversation, targets: Vec::new() }],
        wants: Vec::new(),
    }
}

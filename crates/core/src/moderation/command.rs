//! Commands of moderators: the change, and the users that it concerns.

use std::sync::Arc;

use crate::engine::Engine;
use crate::model::{Action, ConversationKind, Millis, Pattern, RequiredAction, SigningRequest};
use crate::vendor::App;

/// A command to change the moderation entries of users in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModerationCommand {
    /// The kind of the command.
    pub kind: CommandKind,
    /// The users. For a command about a conversation: the id of the conversation.
    pub users: Vec<String>,
    /// The scope: a conversation or a pattern.
    pub scope: Pattern,
    /// The only app that the command concerns. `None`: all apps.
    pub app: Option<Arc<str>>,
    /// The moderator: the user in whose name the caller acts. Empty if a service acts as itself.
    pub client: String,
    /// Whether a command that lifts or removes concerns only the entries that the same author made.
    pub own_only: bool,
}

/// The kind of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Ban the users: they are excluded from everything.
    Ban(SanctionTerms),
    /// Lift bans.
    LiftBan,
    /// Mute the users: they cannot send.
    Mute(SanctionTerms),
    /// Lift mutes.
    LiftMute,
    /// Give a role.
    SetRole(String),
    /// Remove a role.
    RemoveRole(String),
    /// Block a conversation: the user can no longer be added to it. Users block only for themselves.
    Block,
    /// Lift a block.
    LiftBlock,
    /// Register a conversation.
    SetConversation {
        /// The kind of the conversation. `None`: the stored kind, or else the kind that the id implies.
        kind: Option<ConversationKind>,
        /// The owner of the conversation. `None`: the stored owner.
        owner: Option<String>,
    },
    /// Forget a conversation.
    ForgetConversation,
}

/// The end and the reason of a sanction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SanctionTerms {
    /// The time at which the sanction ends. `None`: it never ends.
    pub until: Option<Millis>,
    /// The reason.
    pub reason: Option<String>,
}

impl CommandKind {
    /// Returns the action that the policy decides about.
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

    /// Returns whether the command names target users. Commands about the caller itself or about a conversation do not.
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
    /// Returns the apps that the command concerns. If its app is not configured, these are all configured apps, and the
    /// command must be allowed at each of them.
    pub fn apps<'e>(&self, engine: &'e Engine) -> impl Iterator<Item = &'e App> + use<'_, 'e> {
        let named = self.app.as_ref().filter(|_| !self.is_for_unconfigured_app(engine));
        engine.apps.iter().filter(move |app| named.is_none_or(|own| own == app.name()))
    }

    /// Returns the policy request for all users of the command at an app.
    pub fn policy_request(&self, app: &App) -> SigningRequest {
        self.build_policy_request(app, self.users.clone())
    }

    /// Returns the policy request for a single user of the command at an app.
    pub(super) fn policy_request_for_user(&self, app: &App, user: &str) -> SigningRequest {
        self.build_policy_request(app, vec![user.to_owned()])
    }

    /// An entry for a room also affects its channels, where the moderator can have another role. So the policy is asked
    /// about the room and its channels.
    fn build_policy_request(&self, app: &App, users: Vec<String>) -> SigningRequest {
        let action = self.kind.action();
        let (members, targets) =
            if self.kind.has_targets() { (self.users.clone(), users) } else { (Vec::new(), Vec::new()) };
        let affected = self.scope.affected_patterns().into_iter();
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
            required_actions: needs,
            requested_grants: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Returns whether the command concerns the caller itself.
    pub(super) fn is_for_oneself(&self) -> bool {
        self.kind.is_for_oneself()
    }

    /// Returns whether the command concerns a conversation. Then `users` holds the id of the conversation.
    pub(super) fn is_about_conversation(&self) -> bool {
        self.kind.is_about_conversation()
    }

    /// Returns whether the scope is exactly the conversation of this name.
    pub(super) fn is_named_by(&self, name: &str) -> bool {
        let home = Pattern::Exact(name.to_owned()).home_conversation().into_owned();
        self.scope.exact().is_some() && self.scope == home
    }
}

/// Returns the policy request for reading in a scope: the moderation entries, or decisions.
pub fn read_request(app: &App, client: &str, place: &Pattern, action: Action) -> SigningRequest {
    let conversation = Some(place.clone());
    SigningRequest {
        app: Arc::clone(app.name()),
        vendor: app.vendor(),
        action,
        client: client.to_owned(),
        conversation: conversation.clone(),
        members: Vec::new(),
        required_actions: vec![RequiredAction { action, conversation, targets: Vec::new() }],
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    }
}

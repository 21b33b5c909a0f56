//! The actions that a request can need. All vendors share the same action names.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Something that a policy allows or denies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];

            /// Returns the action's name in rules, routes, the command line and the audit log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Action::$name => $word,)* }
            }
        }
    };
}

actions! {
    /// Connect to the chat service.
    Login = "login",
    /// Create a conversation.
    Create = "create",
    /// Enter a conversation as the client.
    Join = "join",
    /// Leave a conversation as the client.
    Leave = "leave",
    /// Add others to a conversation.
    Invite = "invite",
    /// Remove others from a conversation.
    Kick = "kick",
    /// Read past messages. This is also an Ably operation.
    History = "history",
    /// Block clients in a conversation.
    BlockClients = "block-clients",
    /// Unblock clients in a conversation.
    UnblockClients = "unblock-clients",
    /// Block a conversation: do not let others add the client to it.
    BlockConversation = "block-conversation",
    /// Unblock a conversation.
    UnblockConversation = "unblock-conversation",
    /// TalkJS's server token: access to the whole app.
    AppToken = "app-token",
    /// Ably: send messages.
    Publish = "publish",
    /// Ably: receive messages.
    Subscribe = "subscribe",
    /// Ably: enter the presence set.
    Presence = "presence",
    /// Ably: read statistics.
    Stats = "stats",
    /// Ably: receive changes of live objects.
    ObjectSubscribe = "object-subscribe",
    /// Ably: change live objects.
    ObjectPublish = "object-publish",
    /// Ably: receive annotations.
    AnnotationSubscribe = "annotation-subscribe",
    /// Ably: annotate messages.
    AnnotationPublish = "annotation-publish",
    /// Ably: edit one's own messages.
    MessageUpdateOwn = "message-update-own",
    /// Ably: edit anyone's messages.
    MessageUpdateAny = "message-update-any",
    /// Ably: delete one's own messages.
    MessageDeleteOwn = "message-delete-own",
    /// Ably: delete anyone's messages.
    MessageDeleteAny = "message-delete-any",
    /// Ably: register for push notifications.
    PushSubscribe = "push-subscribe",
    /// Ably: manage everyone's push registrations.
    PushAdmin = "push-admin",
    /// Ably: read a channel's metadata.
    ChannelMetadata = "channel-metadata",
    /// Ably: send with headers reserved to servers.
    PrivilegedHeaders = "privileged-headers",
    /// LiveKit: send data and text messages in a room.
    PublishData = "publish-data",
    /// Moderation: ban a user.
    Ban = "ban",
    /// Moderation: lift a ban.
    Unban = "unban",
    /// Moderation: mute a user.
    Mute = "mute",
    /// Moderation: lift a mute.
    Unmute = "unmute",
    /// Moderation: give or remove a role.
    SetRole = "set-role",
    /// Moderation: register a conversation, with its kind and owner.
    ManageConversation = "manage-conversation",
    /// Moderation: read bans, mutes, roles and conversations.
    ReadModeration = "read-moderation",
    /// Moderation: read decisions, with the result of each rule.
    ReadDecisions = "read-decisions",
    /// Moderation: retry and close jobs at vendors and webhooks.
    RetryEnforcement = "retry-enforcement",
    /// Decide about requests of others without a signature.
    Decide = "decide",
}

impl Action {
    /// Returns the action with this name.
    pub fn parse(word: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.as_str() == word)
    }

    /// Returns whether a capability can name this action as an operation on a channel.
    pub fn is_channel_operation(self) -> bool {
        ActionSet::CHANNEL_OPERATIONS.contains(self)
    }

    /// Returns whether this is an action of the moderation at run time, not of signing.
    pub fn is_moderation(self) -> bool {
        self >= Action::Ban
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ActionSet(u64);

impl ActionSet {
    /// The empty set.
    pub const EMPTY: ActionSet = ActionSet(0);

    /// The operations on channels that a capability can name. They are Ably's seventeen operations.
    pub const CHANNEL_OPERATIONS: ActionSet = ActionSet::of(&[
        Action::Publish,
        Action::Subscribe,
        Action::Presence,
        Action::History,
        Action::Stats,
        Action::ObjectSubscribe,
        Action::ObjectPublish,
        Action::AnnotationSubscribe,
        Action::AnnotationPublish,
        Action::MessageUpdateOwn,
        Action::MessageUpdateAny,
        Action::MessageDeleteOwn,
        Action::MessageDeleteAny,
        Action::PushSubscribe,
        Action::PushAdmin,
        Action::ChannelMetadata,
        Action::PrivilegedHeaders,
    ]);

    /// The actions that a mute denies: everything that shows something to other users.
    pub const SENDING: ActionSet = ActionSet::of(&[
        Action::Publish,
        Action::PublishData,
        Action::Presence,
        Action::ObjectPublish,
        Action::AnnotationPublish,
        Action::MessageUpdateOwn,
        Action::MessageUpdateAny,
        Action::MessageDeleteOwn,
        Action::MessageDeleteAny,
        Action::PushAdmin,
    ]);

    /// The moderation actions that have no targets.
    pub const MODERATION_WITHOUT_TARGETS: ActionSet = ActionSet::of(&[
        Action::ManageConversation,
        Action::ReadModeration,
        Action::ReadDecisions,
        Action::RetryEnforcement,
        Action::Decide,
    ]);

    /// The actions that a backend can ask about for its own gates, at each vendor, even if the vendor has no signature
    /// for them.
    pub const GATES: ActionSet =
        ActionSet::of(&[Action::Join, Action::Publish, Action::Subscribe, Action::History, Action::Presence]);

    /// The actions that no rule gives to a user: an app token gives access to the whole app, and a decision tells about
    /// everyone.
    pub const SERVICES_ONLY: ActionSet = ActionSet::of(&[Action::AppToken, Action::Decide]);

    /// Returns the meaning of `"*"` in a rule's `actions`: all actions except those that a rule must name.
    pub fn all_by_default() -> ActionSet {
        Action::ALL
            .iter()
            .copied()
            .filter(|action| !action.is_moderation())
            .filter(|action| !matches!(action, Action::AppToken | Action::PushAdmin | Action::PrivilegedHeaders))
            .collect()
    }

    /// Makes the set of these actions.
    pub const fn of(actions: &[Action]) -> ActionSet {
        let mut bits = 0;
        let mut i = 0;
        while i < actions.len() {
            bits |= 1 << actions[i] as u64;
            i += 1;
        }
        ActionSet(bits)
    }

    /// Returns the set with this action.
    #[must_use]
    pub const fn with(self, action: Action) -> ActionSet {
        ActionSet(self.0 | 1 << action as u64)
    }

    /// Adds an action.
    pub fn insert(&mut self, action: Action) {
        self.0 |= 1 << action as u64;
    }

    /// Returns whether the action is in the set.
    pub fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u64) != 0
    }

    /// Returns whether every action of `other` is in this set.
    pub fn contains_all(self, other: ActionSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the actions that are in both sets.
    #[must_use]
    pub fn intersection(self, other: ActionSet) -> ActionSet {
        ActionSet(self.0 & other.0)
    }

    /// Returns the actions that are in at least one of the sets.
    #[must_use]
    pub const fn union(self, other: ActionSet) -> ActionSet {
        ActionSet(self.0 | other.0)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the number of actions.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns the actions, in the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let next = Action::ALL.get(rest.trailing_zeros() as usize).copied()?;
            rest &= rest - 1;
            Some(next)
        })
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> ActionSet {
        let mut set = ActionSet::EMPTY;
        actions.into_iter().for_each(|action| set.insert(action));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_action() {
        for &action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("*"), None);
    }

    #[test]
    fn ably_has_seventeen_operations() {
        assert_eq!(ActionSet::CHANNEL_OPERATIONS.len(), 17);
        let of_others = ActionSet::of(&[Action::PublishData]);
        assert!(ActionSet::CHANNEL_OPERATIONS.union(of_others).contains_all(ActionSet::SENDING));
    }

    #[test]
    fn a_star_leaves_out_what_must_be_named() {
        for word in [
            "app-token",
            "push-admin",
            "privileged-headers",
            "ban",
            "set-role",
            "read-moderation",
            "read-decisions",
            "retry-enforcement",
        ] {
            let action = Action::parse(word).unwrap();
            assert!(!ActionSet::all_by_default().contains(action), "{word}");
        }
        assert!(ActionSet::all_by_default().contains(Action::MessageDeleteAny));
        assert!(ActionSet::all_by_default().contains(Action::BlockConversation));
    }
}

//! Moderation: commands that change or show the moderation entries of a running server.

mod answer;
mod events;
mod jobs;
mod list;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;

use super::common::{CommandError, CommonArguments, parse_time};
use super::examples;
use crate::model::{Millis, room};
use crate::moderation::EntryKind;
use crate::moderation::api::ModerationResource::{Entries, Removal};
use crate::moderation::api::{ModerationParameters, ModerationResource};
use crate::{clock, config};
pub(super) use answer::check_status;
use answer::{CommandTargets, EffectWords};
pub(super) use server::{ServerArguments, ServerRequest};

/// The commands of moderators.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ModerateCommand {
    /// Ban users from everything or from a conversation.
    #[command(after_help = examples::BAN)]
    Ban(SanctionArguments),
    /// Lift bans.
    #[command(after_help = examples::UNBAN)]
    Unban(UserArguments),
    /// Mute users: they can read, but not send.
    #[command(after_help = examples::MUTE)]
    Mute(SanctionArguments),
    /// Lift mutes.
    #[command(after_help = examples::UNMUTE)]
    Unmute(UserArguments),
    /// Give users a role in a conversation.
    #[command(after_help = examples::SET_ROLE)]
    SetRole(RoleArguments),
    /// Remove a role from users.
    #[command(after_help = examples::REMOVE_ROLE)]
    RemoveRole(RoleArguments),
    /// Block a conversation for a user: nobody can add the user to it.
    #[command(after_help = examples::BLOCK_CONVERSATION)]
    BlockConversation(BlockArguments),
    /// Lift such a block.
    #[command(after_help = examples::UNBLOCK_CONVERSATION)]
    UnblockConversation(BlockArguments),
    /// Register the kind and the owner of a conversation, or forget the conversation.
    #[command(after_help = examples::MANAGE_CONVERSATION)]
    ManageConversation(ConversationArguments),
    /// List bans, mutes, roles, blocks, a conversation, or the enforcements at vendors and webhooks.
    #[command(after_help = examples::LIST)]
    List(list::Arguments),
    /// Try dead letters again: changes that could not be sent to vendors or webhooks.
    #[command(after_help = examples::RETRY)]
    Retry(jobs::JobArguments),
    /// Close dead letters, because they were done by hand or are not needed.
    #[command(after_help = examples::CLOSE)]
    Close(jobs::CloseArguments),
    /// Enforce all bans and mutes of an app at its vendor again, including those of the policy file.
    #[command(after_help = examples::ENFORCE)]
    Enforce(jobs::EnforceArguments),
    /// Print moderation events as they happen.
    #[command(after_help = examples::EVENTS)]
    Events(events::Arguments),
}

/// Users, and the conversation.
#[derive(Debug, clap::Args)]
pub(super) struct UserArguments {
    /// The users.
    #[arg(required = true, value_name = "USER")]
    users: Vec<String>,
    /// The conversation: its id, or ns:* for a whole namespace. Default: all conversations.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    #[command(flatten)]
    actor: ActorArguments,
}

/// Users, the conversation, the duration and the reason.
#[derive(Debug, clap::Args)]
pub(super) struct SanctionArguments {
    #[command(flatten)]
    users: UserArguments,
    /// The end: 2027-01-01T00:00:00Z, or milliseconds since 1970. Default: no end.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Millis>,
    /// The duration from now on: 30m, 12h, 7d.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, conflicts_with = "until")]
    lasts: Option<Duration>,
    /// The reason. The user can see it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Users, the role and the conversation.
#[derive(Debug, clap::Args)]
pub(super) struct RoleArguments {
    /// The users.
    #[arg(required = true, value_name = "USER")]
    users: Vec<String>,
    /// The name of the role in the policy.
    #[arg(long)]
    role: String,
    /// The conversation: its id, ns:* for a whole namespace, or * for all conversations.
    #[arg(long, value_name = "ID")]
    conversation: String,
    #[command(flatten)]
    actor: ActorArguments,
}

/// A conversation that a user blocks.
#[derive(Debug, clap::Args)]
pub(super) struct BlockArguments {
    /// The id of the conversation.
    conversation: String,
    #[command(flatten)]
    actor: ActorArguments,
}

/// A conversation and its properties.
#[derive(Debug, clap::Args)]
pub(super) struct ConversationArguments {
    /// The id of the conversation.
    id: String,
    /// Its kind: group, chatroom, temporary or system.
    #[arg(long)]
    kind: Option<String>,
    /// Its owner. You can set it only once.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Forget everything about the conversation except its owner.
    #[arg(long, conflicts_with_all = ["kind", "owner"])]
    forget: bool,
    #[command(flatten)]
    actor: ActorArguments,
}

/// The app, the acting user and the server.
#[derive(Debug, clap::Args)]
struct ActorArguments {
    /// The app. Default: all apps.
    #[arg(long)]
    app: Option<String>,
    /// The user on whose behalf a service acts. Default: the service acts for itself.
    #[arg(long = "as", value_name = "USER")]
    client: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// A request to the server, its actor, the targets that the answer must mention, and the effect on them.
struct ChangeRequest<'c> {
    actor: &'c ActorArguments,
    targets: CommandTargets<'c>,
    request: ServerRequest,
    effect: EffectWords,
}

pub(super) fn run(common: &CommonArguments, command: &ModerateCommand) -> Result<ExitCode, CommandError> {
    let ChangeRequest { actor, targets, request, effect } = match command {
        ModerateCommand::Ban(sanction) => sanction.change_request(EntryKind::Bans, "banned")?,
        ModerateCommand::Unban(users) => users.lift_request(EntryKind::Bans, "ban"),
        ModerateCommand::Mute(sanction) => sanction.change_request(EntryKind::Mutes, "muted")?,
        ModerateCommand::Unmute(users) => users.lift_request(EntryKind::Mutes, "mute"),
        ModerateCommand::SetRole(role) => role.change_request(Entries(EntryKind::Roles), ["", "was already "]),
        ModerateCommand::RemoveRole(role) => {
            role.change_request(Removal(EntryKind::Roles), ["no longer ", "was already not "])
        }
        ModerateCommand::BlockConversation(block) => {
            block.change_request(Entries(EntryKind::Blocks), ["blocks", "already blocked"])
        }
        ModerateCommand::UnblockConversation(block) => {
            block.change_request(Removal(EntryKind::Blocks), ["no longer blocks", "did not block"])
        }
        ModerateCommand::ManageConversation(conversation) => conversation.change_request()?,
        ModerateCommand::List(arguments) => return list::run(common, arguments),
        ModerateCommand::Retry(arguments) => return jobs::retry(common, arguments),
        ModerateCommand::Close(arguments) => return jobs::close(common, arguments),
        ModerateCommand::Enforce(arguments) => return jobs::enforce(common, arguments),
        ModerateCommand::Events(arguments) => return events::run(common, arguments),
    };
    answer::print_reply(common, &actor.server.ask(common, &request)?, &targets, &effect)
}

impl UserArguments {
    fn lift_request(&self, table: EntryKind, noun: &str) -> ChangeRequest<'_> {
        let scope = self.actor.describe_scope("for", self.conversation.as_deref());
        let effect = EffectWords {
            changed: format!("the {noun} {scope} is lifted"),
            unchanged: format!("there was no {noun} {scope}"),
        };
        self.change_request(Removal(table), effect)
    }

    fn change_request(&self, resource: ModerationResource, effect: EffectWords) -> ChangeRequest<'_> {
        let UserArguments { users, conversation, actor } = self;
        let (users, conversation) = (users.clone(), conversation.clone());
        let parameters = ModerationParameters { conversation, users, ..actor.parameters() };
        let request = ServerRequest { method: Method::POST, resource, parameters };
        ChangeRequest { actor, targets: CommandTargets::named(&self.users), request, effect }
    }
}

impl SanctionArguments {
    fn change_request(&self, table: EntryKind, word: &str) -> Result<ChangeRequest<'_>, CommandError> {
        let until = self.until.or_else(|| self.lasts.map(|lasts| clock::now().after(lasts)));
        if until.is_some_and(|until| until > Millis::LAST) {
            let last = Millis::LAST;
            return Err(CommandError::Usage(format!(
                "the end would be after {last}: leave out --until and --for if there is no end"
            )));
        }
        let scope = self.users.actor.describe_scope("in", self.users.conversation.as_deref());
        let end = until.map_or_else(|| "without an end".to_owned(), |until| format!("until {until}"));
        let changed = format!("{word} {scope}, {end}");
        let effect = EffectWords { unchanged: format!("was already {changed}"), changed };
        let mut change = self.users.change_request(Entries(table), effect);
        change.request.parameters.until = until.map(|until| until.to_string());
        change.request.parameters.reason.clone_from(&self.reason);
        Ok(change)
    }
}

impl RoleArguments {
    fn change_request(&self, resource: ModerationResource, [changed, unchanged]: [&str; 2]) -> ChangeRequest<'_> {
        let RoleArguments { users, role, conversation, actor } = self;
        let what = format!("{role} {}", actor.describe_scope("in", Some(conversation)));
        let effect = EffectWords { changed: format!("{changed}{what}"), unchanged: format!("{unchanged}{what}") };
        let (role, conversation) = (Some(role.clone()), Some(conversation.clone()));
        let parameters = ModerationParameters { users: users.clone(), conversation, role, ..actor.parameters() };
        let request = ServerRequest { method: Method::POST, resource, parameters };
        ChangeRequest { actor, targets: CommandTargets::named(users), request, effect }
    }
}

impl BlockArguments {
    fn change_request(&self, resource: ModerationResource, verbs: [&str; 2]) -> ChangeRequest<'_> {
        let BlockArguments { conversation, actor } = self;
        let app = actor.describe_app();
        let [changed, unchanged] = verbs.map(|verb| format!("{verb} {conversation}{app}"));
        let parameters = ModerationParameters { conversation: Some(conversation.clone()), ..actor.parameters() };
        let request = ServerRequest { method: Method::POST, resource, parameters };
        let targets =
            actor.client.as_deref().map_or(CommandTargets::Caller, |client| CommandTargets::Named(vec![client]));
        ChangeRequest { actor, targets, request, effect: EffectWords { changed, unchanged } }
    }
}

impl ConversationArguments {
    fn change_request(&self) -> Result<ChangeRequest<'_>, CommandError> {
        let ConversationArguments { id, kind, owner, forget, actor } = self;
        let (kind, owner) = (kind.clone(), owner.clone());
        let request = ServerRequest {
            method: if *forget { Method::DELETE } else { Method::PUT },
            resource: conversation_resource(id)?,
            parameters: ModerationParameters { kind, owner, ..actor.parameters() },
        };
        let targets = CommandTargets::Named(vec![room_id(id)]);
        Ok(ChangeRequest { actor, targets, request, effect: self.effect() })
    }

    /// Describes the effect: `registered as group, owned by alice`.
    fn effect(&self) -> EffectWords {
        let app = self.actor.describe_app();
        if self.forget {
            return EffectWords { changed: format!("forgotten{app}"), unchanged: format!("was not registered{app}") };
        }
        let kind = self.kind.as_ref().map(|kind| format!(" as {kind}")).unwrap_or_default();
        let owner = self.owner.as_ref().map(|owner| format!(", owned by {owner}")).unwrap_or_default();
        let changed = format!("registered{kind}{owner}{app}");
        EffectWords { unchanged: format!("was already {changed}"), changed }
    }
}

impl ActorArguments {
    /// Describes a conversation, a pattern or everything, and the app: `in chat:* at the app ably`.
    fn describe_scope(&self, preposition: &str, conversation: Option<&str>) -> String {
        let place = conversation.filter(|place| *place != "*").unwrap_or("all conversations");
        format!("{preposition} {place}{}", self.describe_app())
    }

    fn describe_app(&self) -> String {
        self.app.as_ref().map(|app| format!(" at the app {app}")).unwrap_or_default()
    }

    fn parameters(&self) -> ModerationParameters {
        let (app, client_id) = (self.app.clone(), self.client.clone());
        ModerationParameters { app, client_id, ..ModerationParameters::default() }
    }
}

/// Returns the resource of a conversation.
fn conversation_resource(id: &str) -> Result<ModerationResource, CommandError> {
    if id.is_empty() {
        return Err(CommandError::Usage("the conversation's id must not be empty".to_owned()));
    }
    Ok(ModerationResource::Conversation(id.to_owned()))
}

/// Returns the server's name of a conversation: for a channel of a room, this is the room.
fn room_id(id: &str) -> &str {
    room(id).filter(|room| !room.is_empty()).unwrap_or(id)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|lasts| !lasts.is_zero())
        .ok_or_else(|| "must be a whole number and one of s, m, h, d, for example 12h".to_owned())
}

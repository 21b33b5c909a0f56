//! The outcome that a command would have now. Nothing is changed.

use hyper::body::Incoming;
use hyper::{Method, Request};
use serde_json::{Value, json};

use super::audit::RequestedChange;
use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, invalid_field};
use super::read::{self, ReadRequest};
use super::users::{is_own, wider_sanctions};
use super::{change, file_entries};
use crate::model::{Action, Pattern, SigningRequest};
use crate::moderation::api::{ModerationParameters, ModerationResource};
use crate::moderation::{
    CommandAuthorizer, CommandOutcome, EntryKind, EntryRecord, ModerationCommand, ModerationEntry, ModerationIndex,
};
use crate::server::http::error::ApiError;
use crate::server::http::response_body::HttpResponse;
use crate::server::http::{render, sign};
use crate::server::limits::AdmissionPermit;
use crate::vendor::{App, InvalidRequest, SanctionEffects};

/// The commands, with the routes that carry them out.
const COMMANDS: [(&str, ModerationResource); 6] = [
    ("ban", ModerationResource::Entries(EntryKind::Bans)),
    ("unban", ModerationResource::Removal(EntryKind::Bans)),
    ("mute", ModerationResource::Entries(EntryKind::Mutes)),
    ("unmute", ModerationResource::Removal(EntryKind::Mutes)),
    ("set-role", ModerationResource::Entries(EntryKind::Roles)),
    ("take-role", ModerationResource::Removal(EntryKind::Roles)),
];

/// The entries that a command touches, for its author or for a caller who may read them.
struct PreviewedEntries<'a> {
    visit: &'a AuthenticatedRequest<'a>,
    client: &'a str,
    is_reader: bool,
    /// The number of entries that are not shown.
    hidden: usize,
}

/// Answers a request for a preview.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<HttpResponse, ApiError> {
    let exchange = visit.exchange;
    read::check_no_query(request)?;
    let (params, _place) = sign::read_body_params(exchange, false, request, place).await?;
    let values = ModerationParameters::read(&params)?;
    let resource = previewed_resource(&values)?;
    // Only a change can come too late.
    let known = change::accepted_parameters(&resource).iter().copied().filter(|name| *name != "seen");
    params.reject_unknown(&known.chain(["do"]).collect::<Vec<_>>())?;
    let fields = RequestFields { params: &values, settings: exchange.settings() };
    let command = {
        let kept = exchange.runtime.moderation.read_any_age();
        change::parse_command(&resource, &Method::POST, fields, &visit.caller, &kept, exchange.now)?
    };
    visit.check_authenticator(command.app.as_ref()).await?;
    if exchange.runtime.moderation.store().is_none() {
        return Err(ApiError::no_store());
    }
    let engine = &exchange.settings().engine;
    let requests: Vec<SigningRequest> = command.apps(engine).map(|app| command.policy_request(app)).collect();
    let facts = visit.fetch_facts(command.app.as_ref(), &requests, Some(&command.kind)).await?;
    let reader = ReadRequest::new(visit, fields, Some(command.scope.home_conversation().into_owned()))?;
    let is_reader = reader.is_allowed(visit).await;
    let authorizer = CommandAuthorizer { engine, caller: &visit.caller, facts: &facts, now: exchange.now };
    let (outcome, body) = {
        let index = match exchange.runtime.moderation.read() {
            Ok(index) => index,
            Err(stale) => return Err(stale.into()),
        };
        let outcome = authorizer.authorize(&index, &command);
        let entries = PreviewedEntries { visit, client: &command.client, is_reader, hidden: 0 };
        let body = entries.describe(&index, &command, &outcome);
        (outcome, body)
    };
    let Some(signing_request) = requests.first() else { return Err(ApiError::internal("there is no app")) };
    let asked = RequestedChange {
        exchange,
        app: visit.app(command.app.as_ref()),
        caller: &visit.caller,
        signing_request,
        command_kind: &command.kind,
        own_only: command.own_only,
        is_preview: true,
    };
    exchange.runtime.audit.write(&asked.lines(&outcome)?).await?;
    Ok(render::json(&body))
}

fn previewed_resource(values: &ModerationParameters) -> Result<ModerationResource, InvalidRequest> {
    let known = COMMANDS.into_iter().find(|(name, _)| values.r#do.as_deref() == Some(name));
    known
        .map(|(_, resource)| resource)
        .ok_or_else(|| invalid_field("do", format!("must be one of: {}", COMMANDS.map(|(name, _)| name).join(", "))))
}

impl PreviewedEntries<'_> {
    fn describe(mut self, index: &ModerationIndex, command: &ModerationCommand, outcome: &CommandOutcome) -> Value {
        let before: Vec<_> = outcome.set.iter().filter_map(|entry| index.find(&entry.key())).collect();
        let remaining: Vec<_> =
            outcome.succeeded.iter().flat_map(|user| self.remaining(index, command, outcome, user)).collect();
        let sets: Vec<_> = outcome.set.iter().map(|entry| EntryRecord::from(entry).for_list()).collect();
        let (replaces, takes, stays) = (self.shown(&before), self.shown(&outcome.deleted), self.shown(&remaining));
        let place = command.scope.home_conversation();
        let is_wider = |user: &&String| {
            let wider = |table| wider_sanctions(self.visit, index, table, user, &place, command.app.as_ref());
            sanction_table(command).is_some_and(|table| !wider(table).is_empty())
        };
        json!({
            "version": self.visit.exchange.runtime.moderation.head().version,
            "succeeded": outcome.succeeded,
            "unchanged": outcome.unchanged,
            "failed": change::failed_targets(outcome),
            "sets": sets,
            "replaces": replaces,
            "takes": takes,
            "stays": stays,
            "hidden": self.hidden,
            "wider": command.users.iter().filter(is_wider).filter(|_| self.is_reader).collect::<Vec<_>>(),
            "effects": self.effects(command),
        })
    }

    /// Returns the entries of the author, and of others if the caller may read them. Counts the rest.
    fn shown(&mut self, entries: &[ModerationEntry]) -> Vec<Value> {
        let mut shown = Vec::new();
        for entry in entries {
            let own = is_own(entry.origin(), self.visit, self.client);
            if !own && !self.is_reader {
                self.hidden += 1;
                continue;
            }
            let mut record = json!(EntryRecord::from(entry).for_list());
            record["own"] = own.into();
            shown.push(record);
        }
        shown
    }

    /// Returns the bans or mutes of a user in exactly this place that remain beside those that the command sets.
    fn remaining(
        &self,
        index: &ModerationIndex,
        command: &ModerationCommand,
        outcome: &CommandOutcome,
        user: &str,
    ) -> Vec<ModerationEntry> {
        let Some(table) = sanction_table(command) else { return Vec::new() };
        let place = command.scope.home_conversation();
        let policy = &self.visit.exchange.settings().engine.policy;
        let entries = file_entries::entries_of_user(policy, index, user).into_iter();
        let here = entries.filter(|entry| {
            entry.table() == table
                && entry.scope().is_some_and(|scope| scope.home_conversation() == place)
                && entry.is_in_force(self.visit.exchange.now)
                && !outcome.deleted.contains(entry)
                && !outcome.set.iter().any(|set| set.key() == entry.key())
        });
        here.collect()
    }

    /// Returns for each app what the change does at its vendor, or why it does nothing there.
    fn effects(&self, command: &ModerationCommand) -> Vec<Value> {
        let engine = &self.visit.exchange.settings().engine;
        let table = sanction_table(command);
        table.map_or(Vec::new(), |table| command.apps(engine).map(|app| self.effect(command, table, app)).collect())
    }

    fn effect(&self, command: &ModerationCommand, table: EntryKind, app: &App) -> Value {
        let exchange = self.visit.exchange;
        let (effects, is_lifting) = (sanction_effects(app, table, &command.scope), command.kind.is_lifting());
        let is_enforced = exchange.settings().enforcements.iter().any(|enforcement| enforcement.app == *app.name());
        let mut effect = json!({ "app": &**app.name(), "vendor": app.vendor().as_str() });
        effect["carried"] = (is_enforced && effects.is_some()).into();
        if let Some(SanctionEffects { does, is_restored }) = effects.filter(|_| is_enforced) {
            if !is_lifting {
                effect["does"] = does.iter().map(|effect| effect.as_str()).collect();
            }
            effect["after"] = if is_restored { "restored" } else { "nothing" }.into();
            return effect;
        }
        effect["why"] = if effects.is_some() { "off" } else { "not-offered" }.into();
        if let Some(validity) = app.longest_validity().filter(|_| !is_lifting) {
            effect["good_until"] = exchange.now.after(validity).to_string().into();
        }
        effect
    }
}

/// Returns the effects of a ban or mute at the vendor of an app. `None`: the vendor does not offer it. A vendor that
/// changes nothing itself needs a gate, at which it asks about messages.
fn sanction_effects(app: &App, table: EntryKind, scope: &Pattern) -> Option<SanctionEffects> {
    let effects = &app.vendor().spec().effects;
    let effects = match (table == EntryKind::Bans, *scope == Pattern::Everything) {
        (true, false) => effects.ban,
        (true, true) => effects.ban_everywhere,
        (false, false) => effects.mute,
        (false, true) => effects.mute_everywhere,
    };
    effects.filter(|effects| !effects.does.is_empty() || app.gate().is_some())
}

/// Returns the table of the bans or mutes that the command changes.
fn sanction_table(command: &ModerationCommand) -> Option<EntryKind> {
    match command.kind.action() {
        Action::Ban | Action::Unban => Some(EntryKind::Bans),
        Action::Mute | Action::Unmute => Some(EntryKind::Mutes),
        _ => None,
    }
}

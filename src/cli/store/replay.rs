//! `store replay`: finds acknowledged changes in audit logs that the store lacks, and makes them again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::audit::{LineSource, LoggedCaller};
use crate::cli::audit_trail::{AuditTrail, OPERATOR, operator_name};
use crate::cli::common::{CommandError, CommonArguments, escape_line, exit_code};
use crate::config::Settings;
use crate::model::{Action, CallerKind, Millis, Pattern};
use crate::moderation::replay::{self, LoggedChange, LoggedEffect, MissingChange, Replay, ReplayReport};
use crate::moderation::store::Store;
use crate::moderation::{ChangeSubscribers, EntryKey, EntryKind, ModerationEntry, RoleAssignment};
use crate::policy::{Block, EntryAuthor, EntryOrigin, Sanction};
use crate::telemetry::{AuditCaller, AuditDecision};

/// `store replay`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The audit logs of all servers, in any order. They can be compressed with gzip. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Make the missing changes again. Without it, the command only shows them.
    #[arg(long)]
    apply: bool,
    /// Send no webhooks and enforce nothing at the vendors.
    #[arg(long, requires = "apply")]
    quiet: bool,
}

/// The members of an audit line about a moderation change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChangeLine {
    time: String,
    decision: String,
    event: String,
    caller: Option<LoggedCaller>,
    app: Option<String>,
    action: String,
    client: Option<String>,
    conversation: Option<String>,
    targets: Vec<String>,
    change: Option<u64>,
    role: Option<String>,
    removed: bool,
    until: Option<String>,
    reason: Option<String>,
    own: bool,
    preview: bool,
}

/// The changes in the logs.
#[derive(Default)]
struct LoggedChanges {
    changes: Vec<LoggedChange>,
    /// The times of imports, and the times and actions of lines that are incomplete.
    unknown: Vec<String>,
}

pub(super) async fn run(
    common: &CommonArguments,
    settings: &Settings,
    store: &Store,
    arguments: &Arguments,
) -> Result<ExitCode, CommandError> {
    let mut logged = LoggedChanges::default();
    for path in &arguments.files {
        logged.read(path)?;
    }
    logged.changes.sort_by_key(|change| change.at);
    if store.head().await?.epoch.is_empty() {
        let flaw = "the store is empty: restore or import its entries, and run `chat-signer store accept` first";
        return Err(CommandError::Failed(flaw.to_owned()));
    }
    let operator = operator_name();
    let plan = if arguments.quiet { ChangeSubscribers::default() } else { ChangeSubscribers::from_settings(settings) };
    let caller = AuditCaller { kind: OPERATOR, subject: &operator };
    let replay = Replay { changes: &logged.changes, apply: arguments.apply, plan: &plan, caller };
    let mut trail = if arguments.apply { Some(AuditTrail::open(settings)?) } else { None };
    let replayed =
        replay::replay(store, &replay, &mut |lines| trail.as_mut().map_or(Ok(()), |to| to.write(lines))).await;
    let report = replayed.map_err(|error| CommandError::Failed(format!("{error}; repeat the command to finish it")))?;
    common.print(|| text(arguments, &report, &logged), || json(arguments, &report, &logged))?;
    Ok(exit_code(
        (arguments.apply || report.missing.is_empty()) && report.by_hand.is_empty() && logged.unknown.is_empty(),
    ))
}

impl LoggedChanges {
    fn read(&mut self, path: &Path) -> Result<(), CommandError> {
        let flaw = |error| CommandError::Failed(format!("cannot read {}: {error}", path.display()));
        let mut source = LineSource::open(path).map_err(flaw)?;
        while let Some(line) = source.next_line().map_err(flaw)? {
            if let Ok(line) = serde_json::from_slice::<ChangeLine>(&line) {
                self.add(&line);
            }
        }
        Ok(())
    }

    /// Adds the change of a line, if the line is about an acknowledged change.
    fn add(&mut self, line: &ChangeLine) {
        let is_allowed = line.decision == AuditDecision::Allow.as_str() && !line.preview;
        let is_change = is_allowed && Action::parse(&line.action).is_some_and(is_moderation);
        if !is_change && line.event != "store.imported" {
            return;
        }
        if line.own && line.removed && line.change.is_none() {
            // The role had another author, and stayed.
            return;
        }
        match line.change() {
            Some(change) => self.changes.push(change),
            None => self.unknown.push(format!("{} {}{}", line.time, line.action, line.event)),
        }
    }
}

fn is_moderation(action: Action) -> bool {
    matches!(
        action,
        Action::Ban
            | Action::Unban
            | Action::Mute
            | Action::Unmute
            | Action::SetRole
            | Action::BlockConversation
            | Action::UnblockConversation
            | Action::ManageConversation
    )
}

impl ChangeLine {
    /// Returns the change. `None`: the line does not describe it in full.
    fn change(&self) -> Option<LoggedChange> {
        let at = Millis::parse(&self.time).ok()?;
        let by = self.author()?;
        let scope = self.conversation.as_deref().map_or(Ok(Pattern::Everything), Pattern::parse).ok()?;
        let app: Option<Arc<str>> = self.app.as_deref().map(Arc::from);
        let origin = EntryOrigin::Runtime { author: Arc::new(by.clone()), at };
        let effect = self.effect(scope, app, origin)?;
        Some(LoggedChange { at, version: self.change, by, effect })
    }

    /// Returns the author: the user in whose name the caller acted, or the caller itself.
    fn author(&self) -> Option<EntryAuthor> {
        let LoggedCaller { kind, subject } = self.caller.as_ref()?;
        let caller = || [CallerKind::User, CallerKind::Service].into_iter().find(|one| one.as_str() == kind);
        let (kind, subject) = match &self.client {
            Some(client) => (CallerKind::User, client),
            None => (caller()?, subject),
        };
        Some(EntryAuthor { kind, subject: subject.clone(), role: None })
    }

    fn effect(&self, scope: Pattern, app: Option<Arc<str>>, origin: EntryOrigin) -> Option<LoggedEffect> {
        let action = Action::parse(&self.action)?;
        if action == Action::ManageConversation {
            return Some(LoggedEffect::Conversation { id: self.conversation.clone()?, app });
        }
        let is_own = matches!(action, Action::BlockConversation | Action::UnblockConversation);
        let user = if is_own { self.client.clone()? } else { self.targets.first()?.clone() };
        let author = origin.author().filter(|_| self.own).map(|by| (by.kind, by.subject.clone()));
        let lift = |table| {
            let (name, scope, app, author) = (user.clone(), Some(scope.clone()), app.clone(), author.clone());
            LoggedEffect::Lift(EntryKey { table, name, scope, app, author })
        };
        let until = self.until.as_deref().map(Millis::parse).transpose().ok()?;
        let sanction = || Sanction {
            user: user.clone(),
            scope: scope.clone(),
            app: app.clone(),
            until,
            reason: self.reason.clone(),
            origin: origin.clone(),
        };
        let entry = match action {
            Action::Unban => return Some(lift(EntryKind::Bans)),
            Action::Unmute => return Some(lift(EntryKind::Mutes)),
            Action::UnblockConversation => return Some(lift(EntryKind::Blocks)),
            Action::Ban => ModerationEntry::Ban(sanction()),
            Action::Mute => ModerationEntry::Mute(sanction()),
            Action::BlockConversation => ModerationEntry::Block(Block { user, conversation: scope, app, origin }),
            Action::SetRole => {
                let role = self.role.as_deref().filter(|_| !self.removed).map(Arc::from);
                ModerationEntry::Role(RoleAssignment { user, scope, app, role, origin })
            }
            _ => return None,
        };
        Some(LoggedEffect::Set(entry))
    }
}

fn text(arguments: &Arguments, report: &ReplayReport, logged: &LoggedChanges) -> String {
    let done = if arguments.apply { "made again" } else { "missing" };
    let mut lines: Vec<String> = report.missing.iter().map(|one| format!("{done}: {}", row(one))).collect();
    let by_hand = report
        .by_hand
        .iter()
        .map(|(at, version, id)| escape_line(&format!("repeat by hand: {}{at}: conversation {id}", number(*version))));
    lines.extend(by_hand);
    lines.extend(logged.unknown.iter().map(|line| format!("cannot be compared: {}", escape_line(line))));
    let ReplayReport { missing, by_hand, present, ended } = report;
    lines.push(format!(
        "{} {done}, {} to repeat by hand, {} that cannot be compared, {present} present or changed later, {ended} ended",
        missing.len(),
        by_hand.len(),
        logged.unknown.len()
    ));
    lines.join("\n")
}

/// Returns the number of a change for a list.
fn number(version: Option<u64>) -> String {
    version.map_or_else(String::new, |version| format!("change {version}, "))
}

fn row(one: &MissingChange) -> String {
    let (entry, version) = (&one.entry, number(one.version));
    let what = if one.is_lift { "removal from" } else { "entry in" };
    let scope = entry.scope().map_or_else(String::new, |scope| format!(", {scope}"));
    let app = entry.app().map_or_else(String::new, |app| format!(", app {app}"));
    escape_line(&format!("{version}{}: {what} {}: {}{scope}{app}", one.at, entry.table().as_str(), entry.name()))
}

fn json(arguments: &Arguments, report: &ReplayReport, logged: &LoggedChanges) -> String {
    let missing = report.missing.iter().map(|one| {
        let value: Value = serde_json::from_str(&one.entry.value()).unwrap_or_default();
        let (time, change, lift) = (one.at.to_string(), one.version, one.is_lift);
        json!({ "time": time, "change": change, "lift": lift, "table": one.entry.table().as_str(), "entry": value })
    });
    let by_hand = report
        .by_hand
        .iter()
        .map(|(at, change, id)| json!({ "time": at.to_string(), "change": change, "conversation": id }));
    json!({
        "applied": arguments.apply,
        "missing": missing.collect::<Value>(),
        "present": report.present,
        "ended": report.ended,
        "by_hand": by_hand.collect::<Value>(),
        "not_compared": logged.unknown,
    })
    .to_string()
}

//! A file with the entries of a moderation store: the tables of a policy file, plus the author and time of each entry.
//! `store export` writes such files.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use chat_signer_core::moderation::{EntryKey, EntryKind, ModerationEntry, RegisteredConversation, RoleAssignment};

use super::entries::{self, KnownConversations};
use super::file::ConfigFile;
use super::policy_names::PolicyNames;
use super::reader::{ConfigItem, Section, suggest};
use super::report::ByteRange;
use super::report::Report;
use super::source_files::read_text_file;
use crate::crypto::{hex, sha256};
use crate::model::{CallerKind, Millis, RoleHierarchy, check_identifier};
use crate::policy::{Block, EntryAuthor, EntryOrigin, Sanction};

/// The entries of a file, each with its author and time.
#[derive(Debug, Default)]
pub struct ImportFile {
    /// The entries: bans, mutes, roles, blocks and conversations.
    pub entries: Vec<ModerationEntry>,
    /// SHA-256 of the file, in hex.
    pub hash: String,
}

/// The subject of the service that is the author of entries without `by`.
pub const IMPORT_SUBJECT: &str = "import";

/// Reads a file of moderation entries. Entries with other apps or roles than these are kept and cause a warning. If an
/// entry has no author, the author is the import. If an entry has no time, the time is `now`.
///
/// # Errors
/// Returns the report if the file has a mistake.
pub fn read_import_file(
    path: &Path,
    apps: &[String],
    role_hierarchy: &RoleHierarchy,
    now: Millis,
) -> Result<(ImportFile, Report), Report> {
    let text = read_text_file(path, "the moderation entries are in this file")?;
    let file = ConfigFile::new(path.display().to_string(), &text, false);
    let table = file.parse();
    let mut root = Section::root(&file, table.get_ref());
    let mut reader =
        ImportFileReader { apps, role_hierarchy, now, warned_names: HashSet::new(), seen_entries: HashSet::new() };
    let mut conversations = KnownConversations::new();
    let mut entries = Vec::new();
    entries.extend(each(&mut root, "bans", |entry| reader.sanction(entry, ModerationEntry::Ban)));
    entries.extend(each(&mut root, "mutes", |entry| reader.sanction(entry, ModerationEntry::Mute)));
    entries.extend(each(&mut root, "bindings", |entry| reader.binding(entry)));
    entries.extend(each(&mut root, "blocks", |entry| reader.block(entry)));
    entries.extend(each(&mut root, "conversations", |entry| reader.conversation(entry, &mut conversations)));
    let read = ImportFile { entries, hash: hex(&sha256(text.as_bytes())) };
    root.report_unknown_keys();
    let has_mistakes = file.has_mistakes();
    let report = Report::new(file.into_problems());
    if has_mistakes { Err(report) } else { Ok((read, report)) }
}

fn each<'a>(
    root: &mut Section<'a>,
    key: &'static str,
    mut read: impl FnMut(&mut Section<'a>) -> Option<ModerationEntry>,
) -> Vec<ModerationEntry> {
    let mut entries = Vec::new();
    for mut section in root.sections(key) {
        entries.extend(read(&mut section));
        section.report_unknown_keys();
    }
    entries
}

/// The state while a file is read.
struct ImportFileReader<'n> {
    apps: &'n [String],
    role_hierarchy: &'n RoleHierarchy,
    now: Millis,
    /// The unknown apps and roles that have already caused a warning.
    warned_names: HashSet<String>,
    /// Keys of the entries read so far, to find duplicates.
    seen_entries: HashSet<EntryKey>,
}

impl ImportFileReader<'_> {
    fn sanction(&mut self, entry: &mut Section<'_>, make: fn(Sanction) -> ModerationEntry) -> Option<ModerationEntry> {
        let origin = self.origin(entry);
        self.app(entry);
        let sanction = entries::sanction(entry, &self.any_app_names());
        let sanction = Sanction { origin: origin?, ..sanction? };
        let sanction = make(Sanction { scope: sanction.scope.home_conversation().into_owned(), ..sanction });
        self.check_unique(entry, sanction.key(), "for this user and conversation by this author");
        Some(sanction)
    }

    /// Reads a role binding: a role, or the removal of a role.
    fn binding(&mut self, entry: &mut Section<'_>) -> Option<ModerationEntry> {
        let (origin, app) = (self.origin(entry), self.app(entry));
        let user = entries::required_user(entry);
        let scope = entry.require("conversation", "write a conversation's id, \"ns:*\", or \"*\" for everywhere");
        let scope = scope.and_then(|item| entries::pattern(&item));
        let removed = entry.get("removed").map_or(Some(false), |item| item.boolean());
        let role = if removed == Some(true) { check_no_role(entry).map(|()| None) } else { self.role(entry).map(Some) };
        let (user, scope, _) = (user?, scope?.home_conversation().into_owned(), removed?);
        let (name, key_scope) = (user.clone(), Some(scope.clone()));
        let key = EntryKey { table: EntryKind::Roles, name, scope: key_scope, app: app.clone(), author: None };
        self.check_unique(entry, key, "for this user and conversation");
        Some(ModerationEntry::Role(RoleAssignment { user, scope, app, role: role?, origin: origin? }))
    }

    fn role(&mut self, entry: &mut Section<'_>) -> Option<Arc<str>> {
        let item = entry.require("role", "write one of the policy's roles, or removed = true for a removed role")?;
        let word = item.non_empty_text()?;
        if word == "owner" {
            let help = "write `owner` in the entry of the conversation, under [[conversations]]";
            return item.mistake("can't be \"owner\": the entry of the conversation names its owner", help);
        }
        if self.role_hierarchy.find(word).is_none() && self.warned_names.insert(format!("role {word}")) {
            let message = format!("the policy has no role \"{}\": the binding has no effect", word.escape_debug());
            item.file.warning(&item.span, message, suggest(word, self.role_hierarchy.names()));
        }
        Some(word.into())
    }

    fn block(&mut self, entry: &mut Section<'_>) -> Option<ModerationEntry> {
        let origin = self.origin(entry);
        self.app(entry);
        let block = entries::block(entry, &self.any_app_names());
        let block = Block { origin: origin?, ..block? };
        let conversation = block.conversation.home_conversation().into_owned();
        let block = ModerationEntry::Block(Block { conversation, ..block });
        self.check_unique(entry, block.key(), "for this user and conversation");
        Some(block)
    }

    fn conversation<'a>(
        &mut self,
        entry: &mut Section<'a>,
        known: &mut KnownConversations<'a>,
    ) -> Option<ModerationEntry> {
        let origin = self.origin(entry);
        let app = self.app(entry);
        let item = entry.require("id", "write the conversation's id, or the channel's name");
        let id = item.as_ref().and_then(entries::conversation_id);
        let kind = entries::conversation_kind(entry, id);
        let owner = entry.get("owner").map(|item| entries::user(&item));
        let forgotten = entry.get("forgotten").map_or(Some(false), |item| item.boolean());
        for key in ["managers", "members"] {
            if let Some(item) = entry.get(key) {
                item.mistake::<()>("is only for the policy file", "give these users roles in [[bindings]]");
            }
        }
        let (item, id) = (item?, id?);
        entries::check_unique(&item, id, app.as_ref(), known);
        let owner = if let Some(owner) = owner { Some(owner?) } else { None };
        let (id, forgotten, origin) = (id.to_owned(), forgotten?, origin?);
        Some(ModerationEntry::Conversation(RegisteredConversation { id, app, kind, owner, forgotten, origin }))
    }

    /// Reads the author and time of the entry.
    fn origin(&self, entry: &mut Section<'_>) -> Option<EntryOrigin> {
        let author = match entry.section("by") {
            Some(mut section) => {
                let author = author(&mut section);
                section.report_unknown_keys();
                author
            }
            None if entry.contains_key("by") => None,
            None => Some(EntryAuthor { kind: CallerKind::Service, subject: IMPORT_SUBJECT.to_owned(), role: None }),
        };
        let at = entry.get("at").map_or(Some(self.now), |item| item.time());
        Some(EntryOrigin::Runtime { author: Arc::new(author?), at: at? })
    }

    /// Reads the app, which need not exist any more.
    fn app(&mut self, entry: &mut Section<'_>) -> Option<Arc<str>> {
        let item = entry.get("app")?;
        let name = item.non_empty_text()?;
        if !self.apps.iter().any(|app| app == name) && self.warned_names.insert(format!("app {name}")) {
            let message =
                format!("there is no app \"{}\": its entries have no effect until it exists", name.escape_debug());
            item.file.warning(&item.span, message, suggest(name, self.apps));
        }
        Some(name.into())
    }

    /// Returns names that accept any app. [`ImportFileReader::app`] warns of unknown apps.
    fn any_app_names(&self) -> PolicyNames<'_> {
        PolicyNames { roles: self.role_hierarchy, apps: &[], authenticators: &[] }
    }

    fn check_unique(&mut self, entry: &Section<'_>, key: EntryKey, whose: &str) {
        if !self.seen_entries.insert(key) {
            let place: &ByteRange = &entry.span;
            entry.file.mistake(place, format!("there is already an entry {whose}"), "leave one of the two out");
        }
    }
}

/// Checks that the removal of a role names no role.
fn check_no_role(entry: &mut Section<'_>) -> Option<()> {
    match entry.get("role") {
        Some(item) => item.mistake("can't be used together with `removed`", "leave one of the two out"),
        None => Some(()),
    }
}

fn author(section: &mut Section<'_>) -> Option<EntryAuthor> {
    let kind = section.require("kind", "write kind = \"user\" or \"service\"");
    let kind = kind.and_then(|item| item.keyword(&[("user", CallerKind::User), ("service", CallerKind::Service)]));
    let subject = section.require("subject", "write the id of the author").and_then(|item| subject(&item));
    let role = section.get("role").map(|item| item.non_empty_text().map(str::to_owned));
    let role = if let Some(role) = role { Some(role?) } else { None };
    Some(EntryAuthor { kind: kind?, subject: subject?, role })
}

fn subject(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    match check_identifier(text, usize::MAX) {
        Ok(()) => Some(text.to_owned()),
        Err(flaw) => item.mistake(flaw.to_string(), "write a user's or service's id"),
    }
}

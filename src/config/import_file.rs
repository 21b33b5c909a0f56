//! A file with the entries of a moderation store: the tables of a policy file, plus the author and time of each entry.
//! `store export` writes such files.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use chat_signer_core::moderation::{EntryKey, EntryKind, ModerationEntry, RegisteredConversation, RoleAssignment};

use super::entries::{self, KnownConversations};
use super::entry_parts::{EntryParts, TomlPart};
use super::file::ConfigFile;
use super::policy_names::PolicyNames;
use super::reader::{ConfigItem, Section, suggest};
use super::report::{ByteRange, ConfigProblem, Report, Severity};
use super::source_files::describe_read_error;
use crate::crypto::{hex, sha256};
use crate::model::{CallerKind, Millis, RoleHierarchy, check_identifier};
use crate::policy::{Block, EntryAuthor, EntryOrigin, Sanction};

/// A file of entries that has no mistakes. Its entries are read part by part, so a large file needs little memory.
pub struct ImportFile<'n> {
    /// The path, for messages.
    name: String,
    parts: EntryParts,
    names: EntryNames<'n>,
    /// SHA-256 of the file.
    hash: [u8; 32],
    /// The number of entries.
    pub entries: usize,
    /// The number of entries that have ended.
    pub ended: usize,
    /// The keys of all entries, and of those that have ended.
    keys: TextSet,
    ended_keys: TextSet,
    conversations: TextSet,
}

/// The configured names that entries can refer to, and the time of entries that state no time.
#[derive(Clone, Copy)]
struct EntryNames<'n> {
    apps: &'n [String],
    role_hierarchy: &'n RoleHierarchy,
    now: Millis,
}

/// A set of texts. It has only a hash of each, so that a million texts take 16 MB.
#[derive(Default)]
struct TextSet(Vec<[u8; 16]>);

/// The entries of a file, part by part.
pub struct ImportParts<'f, 'n> {
    file: &'f mut ImportFile<'n>,
    reader: ImportFileReader<'n>,
}

/// The subject of the service that is the author of entries without `by`.
pub const IMPORT_SUBJECT: &str = "import";

impl<'n> ImportFile<'n> {
    /// Opens a file of moderation entries and reads it once, to find all mistakes. Entries with other apps or roles than
    /// these are kept and cause a warning. If an entry has no author, the author is the import. If an entry has no time,
    /// the time is `now`. A pipe is copied to an unnamed temporary file first.
    ///
    /// # Errors
    /// Returns the report if the file has a mistake.
    pub fn open(
        path: &Path,
        apps: &'n [String],
        role_hierarchy: &'n RoleHierarchy,
        now: Millis,
    ) -> Result<(ImportFile<'n>, Report), Report> {
        let name = path.display().to_string();
        let parts = File::open(path).and_then(EntryParts::new).map_err(|error| read_error(&name, &error))?;
        let names = EntryNames { apps, role_hierarchy, now };
        let [keys, ended_keys, conversations] = [(); 3].map(|()| TextSet::default());
        let (hash, entries, ended) = ([0; 32], 0, 0);
        let mut file = ImportFile { name, parts, names, hash, entries, ended, keys, ended_keys, conversations };
        let mut report = file.check(HashSet::new())?;
        let repeated: HashSet<_> = file.keys.sort().into_iter().chain(file.conversations.sort()).collect();
        if !repeated.is_empty() {
            report = file.check(repeated)?;
            file.keys.sort();
            file.conversations.sort();
        }
        file.ended_keys.sort();
        if report.has_mistakes() { Err(report) } else { Ok((file, report)) }
    }

    /// Reads the whole file. `suspects` has the hashes of keys and conversations that possibly have two entries.
    fn check(&mut self, suspects: HashSet<[u8; 16]>) -> Result<Report, Report> {
        let reader = ImportFileReader::new(self.names, suspects);
        self.parts.restart().map_err(|error| read_error(&self.name, &error))?;
        (self.entries, self.ended, self.ended_keys) = (0, 0, TextSet::default());
        let mut parts = ImportParts { file: self, reader };
        while let Some(entries) = parts.read()? {
            parts.file.entries += entries.len();
            for entry in entries.iter().filter(|entry| !entry.is_in_force(parts.file.names.now)) {
                parts.file.ended += 1;
                parts.file.ended_keys.add(&entry.key().to_string());
            }
        }
        let ImportFileReader { keys, conversations, problems, .. } = parts.reader;
        (self.keys, self.conversations, self.hash) = (keys, conversations, self.parts.hash());
        Ok(Report::new(problems))
    }

    /// Begins to read the entries.
    ///
    /// # Errors
    /// Returns the report if the file cannot be read again.
    pub fn parts(&mut self) -> Result<ImportParts<'_, 'n>, Report> {
        self.parts.restart().map_err(|error| read_error(&self.name, &error))?;
        let reader = ImportFileReader::new(self.names, HashSet::new());
        Ok(ImportParts { file: self, reader })
    }

    /// Returns the SHA-256 of the file, in hex.
    pub fn hash(&self) -> String {
        hex(&self.hash)
    }

    /// Frees the memory for [`contains`](Self::contains), which then returns `false`.
    pub fn forget_keys(&mut self) {
        (self.keys, self.ended_keys) = (TextSet::default(), TextSet::default());
    }

    /// Returns whether the file has an entry with this key that has not ended.
    pub fn contains(&self, key: &str) -> bool {
        self.keys.contains(key) && !self.ended_keys.contains(key)
    }

    /// Returns whether the file has an entry of the conversation with this id.
    pub fn has_conversation(&self, id: &str) -> bool {
        self.conversations.contains(id)
    }

    /// Returns whether the file has any entry of a conversation.
    pub fn has_conversations(&self) -> bool {
        !self.conversations.0.is_empty()
    }

    /// Returns the time of entries that state no time. It decides which entries have ended.
    pub fn now(&self) -> Millis {
        self.names.now
    }
}

impl<'n> ImportParts<'_, 'n> {
    /// Returns the file.
    pub fn file(&self) -> &ImportFile<'n> {
        self.file
    }

    /// Reads the next entries. `None`: at the end of the file.
    ///
    /// # Errors
    /// Returns a report if the file cannot be read, or if it has changed since it was opened.
    pub fn read_next(&mut self) -> Result<Option<Vec<ModerationEntry>>, Report> {
        let entries = self.read()?;
        // The keys are known from the check.
        (self.reader.keys, self.reader.conversations) = (TextSet::default(), TextSet::default());
        let is_changed = entries.is_none() && self.file.parts.hash() != self.file.hash;
        if is_changed || self.reader.has_mistakes() {
            let (message, path) = ("it changed while it was imported", Path::new(&self.file.name));
            return Err(Report::new(vec![ConfigProblem::of_file(path, message, "import it again")]));
        }
        Ok(entries)
    }

    fn read(&mut self) -> Result<Option<Vec<ModerationEntry>>, Report> {
        if self.reader.has_syntax_error {
            return Ok(None);
        }
        let part = self.file.parts.next().map_err(|error| read_error(&self.file.name, &error))?;
        Ok(part.map(|part| self.reader.read(&self.file.name, &part)))
    }
}

fn read_error(name: &str, error: &io::Error) -> Report {
    let (message, help) = match error.kind() {
        ErrorKind::InvalidData => ("this is not UTF-8".to_owned(), "save the file as UTF-8"),
        _ => (format!("the moderation entries are in this file, {}", describe_read_error(error)), ""),
    };
    Report::new(vec![ConfigProblem::of_file(Path::new(name), message, help)])
}

impl TextSet {
    fn hash(text: &str) -> [u8; 16] {
        sha256(text.as_bytes()).first_chunk().copied().unwrap_or_default()
    }

    /// Adds a text. Call [`sort`](Self::sort) before the next search.
    fn add(&mut self, text: &str) -> [u8; 16] {
        let hash = TextSet::hash(text);
        self.0.push(hash);
        hash
    }

    /// Prepares the set for searches. Returns the hashes of texts that were added several times.
    fn sort(&mut self) -> Vec<[u8; 16]> {
        self.0.sort_unstable();
        self.0.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    fn contains(&self, text: &str) -> bool {
        self.0.binary_search(&TextSet::hash(text)).is_ok()
    }
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

/// Refuses the lists of users that only a conversation in the policy file has.
fn refuse_role_lists(conversation: &mut Section<'_>) {
    for key in ["managers", "members"] {
        if let Some(item) = conversation.get(key) {
            item.mistake::<()>("is only for the policy file", "give these users roles in [[bindings]]");
        }
    }
}

/// The state while a file is read.
struct ImportFileReader<'n> {
    names: EntryNames<'n>,
    /// The unknown apps and roles that have already caused a warning.
    warned_names: HashSet<String>,
    keys: TextSet,
    conversations: TextSet,
    /// The hashes of keys and conversations of which every entry is compared with the others.
    suspects: HashSet<[u8; 16]>,
    seen_suspects: HashSet<[u8; 16]>,
    known_conversations: KnownConversations<'static>,
    problems: Vec<ConfigProblem>,
    has_syntax_error: bool,
}

impl<'n> ImportFileReader<'n> {
    fn new(names: EntryNames<'n>, suspects: HashSet<[u8; 16]>) -> ImportFileReader<'n> {
        ImportFileReader {
            names,
            warned_names: HashSet::new(),
            keys: TextSet::default(),
            conversations: TextSet::default(),
            suspects,
            seen_suspects: HashSet::new(),
            known_conversations: KnownConversations::new(),
            problems: Vec::new(),
            has_syntax_error: false,
        }
    }

    fn has_mistakes(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Mistake)
    }

    /// Reads the entries of a part.
    fn read(&mut self, name: &str, part: &TomlPart) -> Vec<ModerationEntry> {
        let file = ConfigFile::new(name.to_owned(), &part.text, false);
        let table = file.parse();
        let mut root = Section::root(&file, table.get_ref());
        let mut entries = each(&mut root, "bans", |entry| self.sanction(entry, ModerationEntry::Ban));
        entries.extend(each(&mut root, "mutes", |entry| self.sanction(entry, ModerationEntry::Mute)));
        entries.extend(each(&mut root, "bindings", |entry| self.binding(entry)));
        entries.extend(each(&mut root, "blocks", |entry| self.block(entry)));
        entries.extend(each(&mut root, "conversations", |entry| self.conversation(entry)));
        root.report_unknown_keys();
        self.has_syntax_error = file.has_syntax_error();
        let problems = file.into_problems().into_iter().map(|mut problem| {
            problem.place = problem.place.map(|(line, column)| (line + part.lines_before, column));
            problem
        });
        self.problems.extend(problems);
        entries
    }

    fn sanction(&mut self, entry: &mut Section<'_>, make: fn(Sanction) -> ModerationEntry) -> Option<ModerationEntry> {
        let origin = self.origin(entry);
        self.app(entry);
        let sanction = entries::sanction(entry, &self.any_app_names());
        let sanction = Sanction { origin: origin?, ..sanction? };
        let sanction = make(Sanction { scope: sanction.scope.home_conversation().into_owned(), ..sanction });
        self.check_unique(entry, &sanction.key(), "for this user and conversation by this author");
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
        self.check_unique(entry, &key, "for this user and conversation");
        Some(ModerationEntry::Role(RoleAssignment { user, scope, app, role: role?, origin: origin? }))
    }

    fn role(&mut self, entry: &mut Section<'_>) -> Option<Arc<str>> {
        let item = entry.require("role", "write one of the policy's roles, or removed = true for a removed role")?;
        let word = item.non_empty_text()?;
        if word == "owner" {
            let help = "write `owner` in the entry of the conversation, under [[conversations]]";
            return item.mistake("can't be \"owner\": the entry of the conversation names its owner", help);
        }
        if self.names.role_hierarchy.find(word).is_none() && self.warned_names.insert(format!("role {word}")) {
            let message = format!("the policy has no role \"{}\": the binding has no effect", word.escape_debug());
            item.file.warning(&item.span, message, suggest(word, self.names.role_hierarchy.names()));
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
        self.check_unique(entry, &block.key(), "for this user and conversation");
        Some(block)
    }

    fn conversation(&mut self, entry: &mut Section<'_>) -> Option<ModerationEntry> {
        let origin = self.origin(entry);
        let app = self.app(entry);
        let item = entry.require("id", "write the conversation's id, or the channel's name");
        let id = item.as_ref().and_then(entries::conversation_id);
        let kind = entries::conversation_kind(entry, id);
        let owner = entry.get("owner").map(|item| entries::user(&item));
        let forgotten = entry.get("forgotten").map_or(Some(false), |item| item.boolean());
        refuse_role_lists(entry);
        let (item, id) = (item?, id?);
        let hash = self.conversations.add(id);
        if self.suspects.contains(&hash) {
            let id = Cow::Owned(id.to_owned());
            entries::check_unique(&item, id, app.as_ref(), &mut self.known_conversations);
        }
        let owner = if let Some(owner) = owner { Some(owner?) } else { None };
        let (id, forgotten, origin) = (id.to_owned(), forgotten?, origin?);
        let conversation = RegisteredConversation { id, app, kind, owner, forgotten, origin };
        let conversation = ModerationEntry::Conversation(conversation);
        self.keys.add(&conversation.key().to_string());
        Some(conversation)
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
        let at = entry.get("at").map_or(Some(self.names.now), |item| item.time());
        Some(EntryOrigin::Runtime { author: Arc::new(author?), at: at? })
    }

    /// Reads the app, which need not exist any more.
    fn app(&mut self, entry: &mut Section<'_>) -> Option<Arc<str>> {
        let item = entry.get("app")?;
        let name = item.non_empty_text()?;
        if !self.names.apps.iter().any(|app| app == name) && self.warned_names.insert(format!("app {name}")) {
            let message =
                format!("there is no app \"{}\": its entries have no effect until it exists", name.escape_debug());
            item.file.warning(&item.span, message, suggest(name, self.names.apps));
        }
        Some(name.into())
    }

    /// Returns names that accept any app. [`ImportFileReader::app`] warns of unknown apps.
    fn any_app_names(&self) -> PolicyNames<'_> {
        PolicyNames { roles: self.names.role_hierarchy, apps: &[], authenticators: &[] }
    }

    fn check_unique(&mut self, entry: &Section<'_>, key: &EntryKey, whose: &str) {
        let hash = self.keys.add(&key.to_string());
        if self.suspects.contains(&hash) && !self.seen_suspects.insert(hash) {
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

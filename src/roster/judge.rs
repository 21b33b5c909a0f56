//! Who may change what of whom, beyond what the policy's rules say.
//!
//! The policy is asked about each user by itself. What it allows is held to rules that no policy can relax: moderators of a
//! conversation act on its people alone; nobody gives, takes or leaves a role that is not weaker than its own; only its author, or who
//! outranks the author, lifts a ban; an owner is set once; and what the policy file says stands.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{Conversation, Record, Table};
use super::index::{Index, OWNER};
use super::wish::{Deed, Terms, Wish};
use crate::engine::Engine;
use crate::model::{Caller, CallerKind, Kind, Millis, Pattern, Role};
use crate::policy::{Author, Block, Denial, Entry, Facts, Held, Origin, Rank, Register, Sanction, Tenure, Told};
use crate::vendor::App;

/// Who asks, and what is known for it.
pub struct Judge<'a> {
    /// The policy, and the apps.
    pub engine: &'a Engine,
    /// Who asks.
    pub caller: &'a Caller,
    /// What another service tells of the place, at each app.
    pub told: &'a HashMap<Arc<str>, Vec<Told>>,
    /// When.
    pub now: Millis,
}

/// What becomes of a wish.
#[derive(Debug, Default)]
pub struct Ruling {
    /// The entries that are new or changed.
    pub set: Vec<Record>,
    /// The entries that go.
    pub gone: Vec<Record>,
    /// Those for whom it is done, or was so already.
    pub succeeded: Vec<String>,
    /// Those for whom it is not done.
    pub failed: Vec<Failed>,
    /// The rules that allowed it, each once.
    pub rules: Vec<String>,
    /// The number of the change that was made, if one was.
    pub change: Option<u64>,
}

/// Someone for whom it is not done, and why.
#[derive(Debug)]
pub struct Failed {
    /// Who.
    pub user: String,
    /// Why not.
    pub why: Why,
}

/// Why something is not done.
#[derive(Debug)]
pub enum Why {
    /// The policy denies it.
    Denied(Box<Denial>),
    /// The user is nothing in the conversation, and its moderators act on its people alone.
    NotThere,
    /// What the user is there, or would be, or what is to be given, isn't weaker than what the moderator is.
    NotOutranked(String),
    /// The policy file says otherwise, in this line.
    File(usize, String),
    /// Something else in the roster stands against it.
    Conflict(String),
}

impl Why {
    /// The word that programs read.
    pub fn code(&self) -> &'static str {
        match self {
            Why::Denied(denial) => denial.code(),
            Why::NotThere => "not_there",
            Why::NotOutranked(_) => "not_outranked",
            Why::File(..) => "file",
            Why::Conflict(_) => "conflict",
        }
    }

    /// Why, for the moderator.
    pub fn public(&self) -> String {
        match self {
            Why::Denied(denial) => denial.public(),
            Why::NotThere => "is nothing there; a conversation's moderators act on its people alone".to_owned(),
            Why::NotOutranked(sentence) | Why::Conflict(sentence) => sentence.clone(),
            Why::File(line, sentence) => {
                format!("{sentence} by the policy file, line {line}, which is changed there alone")
            }
        }
    }

    /// Why, for the operator's log.
    pub fn log(&self) -> String {
        match self {
            Why::Denied(denial) => denial.log(),
            _ => self.public(),
        }
    }
}

/// One user's part in a wish.
struct Part<'j, 'a> {
    judge: &'j Judge<'a>,
    index: &'j Index,
    wish: &'j Wish,
    user: &'j str,
    apps: Vec<&'a App>,
    author: Arc<Author>,
}

/// What is to be set, and what is to go.
type Work = (Vec<Record>, Vec<Record>);

impl<'a> Judge<'a> {
    /// What becomes of a wish, by what is known now.
    pub fn rule(&self, index: &Index, wish: &Wish) -> Ruling {
        let mut ruling = Ruling::default();
        for user in &wish.users {
            let outcome = self.allow(index, wish, user, &mut ruling.rules).and_then(|()| {
                let part = self.part(index, wish, user);
                part.hold_to_rules()?;
                part.decide()
            });
            match outcome {
                Ok((set, gone)) => {
                    ruling.set.extend(set);
                    ruling.gone.extend(gone);
                    ruling.succeeded.push(user.clone());
                }
                Err(why) => ruling.failed.push(Failed { user: user.clone(), why }),
            }
        }
        ruling
    }

    /// What the policy says, at every app that it is about.
    fn allow(&self, index: &Index, wish: &Wish, user: &str, rules: &mut Vec<String>) -> Result<(), Why> {
        for app in wish.apps(self.engine) {
            let ask = wish.ask_about(app, std::slice::from_ref(&user.to_owned()));
            let registers = [self.engine.policy.register(), index.register()];
            let facts = Facts { registers: &registers, told: self.told_at(app) };
            match self.engine.policy.decide(ask, self.caller, facts, self.now) {
                Ok(permit) => {
                    let new = permit.spend().2.into_iter().filter(|rule| !rules.contains(rule)).collect::<Vec<_>>();
                    rules.extend(new);
                }
                Err(refusal) => return Err(Why::Denied(refusal.denial)),
            }
        }
        Ok(())
    }

    fn part<'j>(&'j self, index: &'j Index, wish: &'j Wish, user: &'j str) -> Part<'j, 'a> {
        let apps: Vec<&App> = wish.apps(self.engine).collect();
        let mut part = Part { judge: self, index, wish, user, apps, author: Arc::new(self.author(wish)) };
        let role = if wish.client.is_empty() { None } else { part.weakest(&wish.client) };
        let ladder = &self.engine.policy.document().ladder;
        Arc::make_mut(&mut part.author).role = role.map(|role| ladder.word(role).to_owned());
        part
    }

    /// Who makes the entries: the user as whom the caller acts, or the service itself.
    pub(super) fn author(&self, wish: &Wish) -> Author {
        if wish.client.is_empty() {
            return Author { kind: self.caller.kind, subject: self.caller.subject.clone(), role: None };
        }
        Author { kind: CallerKind::User, subject: wish.client.clone(), role: None }
    }

    fn told_at(&self, app: &App) -> &[Told] {
        self.told.get(app.name()).map_or(&[], Vec::as_slice)
    }
}

impl Part<'_, '_> {
    /// What no policy can relax: for users who moderate; services answer to the policy alone.
    fn hold_to_rules(&self) -> Result<(), Why> {
        let acts_on_others =
            matches!(self.wish.deed, Deed::Ban(_) | Deed::Mute(_) | Deed::SetRole(_) | Deed::RemoveRole(_));
        if self.is_service() || !acts_on_others {
            return Ok(());
        }
        for app in &self.apps {
            if !self.rank(&self.wish.client, app).is_everywhere && !self.rank(self.user, app).is_bound {
                return Err(Why::NotThere);
            }
        }
        match &self.wish.deed {
            Deed::SetRole(word) => self.outranks_role(word),
            Deed::RemoveRole(_) => self.outranks_user(),
            _ => Ok(()),
        }
    }

    fn decide(&self) -> Result<Work, Why> {
        match &self.wish.deed {
            Deed::Ban(terms) => Ok(self.sanction(Table::Bans, terms)),
            Deed::Mute(terms) => Ok(self.sanction(Table::Mutes, terms)),
            Deed::LiftBan => self.lift(Table::Bans),
            Deed::LiftMute => self.lift(Table::Mutes),
            Deed::SetRole(word) => self.set_role(word),
            Deed::RemoveRole(word) => self.remove_role(word),
            Deed::Block => Ok(self.block()),
            Deed::LiftBlock => self.lift_block(),
            Deed::SetConversation { kind, owner } => self.set_conversation(*kind, owner.as_deref()),
            Deed::ForgetConversation => self.forget_conversation(),
        }
    }

    fn sanction(&self, table: Table, terms: &Terms) -> Work {
        let sanction = Sanction {
            user: self.user.to_owned(),
            scope: self.wish.scope.clone(),
            app: self.wish.app.clone(),
            until: terms.until,
            reason: terms.reason.clone(),
            origin: self.origin(),
        };
        self.put(if table == Table::Bans { Record::Ban(sanction) } else { Record::Mute(sanction) })
    }

    /// Sets an entry, unless there is just such a one.
    fn put(&self, record: Record) -> Work {
        match self.index.find(&record.key()) {
            Some(before) if before.says_the_same_as(&record) => (Vec::new(), Vec::new()),
            _ => (vec![record], Vec::new()),
        }
    }

    /// Takes away the bans or mutes of just this place. All of them, or none: it is done only if nothing keeps it from having an effect.
    fn lift(&self, table: Table) -> Result<Work, Why> {
        let here = self.index.at(table, self.user, &self.wish.scope);
        let gone: Vec<Record> = here.into_iter().filter(|record| record.app() == self.wish.app.as_ref()).collect();
        if let Some(record) = gone.iter().find(|record| !self.may_lift(record)) {
            let by = record.origin();
            return Err(Why::NotOutranked(format!(
                "it was made {by}, whom only its author or who outranks it may overrule"
            )));
        }
        let registers = [self.judge.engine.policy.register(), self.index.register()];
        let near = registers.into_iter().flat_map(|register| self.apps.iter().map(move |app| (register, *app)));
        let near = near.flat_map(|(register, app)| register.about(self.user, app.name(), Some(&self.wish.scope)));
        let holding = near.filter_map(|entry| holds(table, entry, &self.wish.scope, self.judge.now));
        let mut left = holding.filter(|left| !gone.iter().any(|gone| is_sanction(gone, left)));
        match left.next() {
            Some(left) => Err(still_held(table, left)),
            None => Ok((Vec::new(), gone)),
        }
    }

    /// Whether the moderator may take away what somebody has set.
    fn may_lift(&self, record: &Record) -> bool {
        let Some(author) = record.origin().author() else { return false };
        if self.is_service() || author.kind == self.author.kind && author.subject == self.author.subject {
            return true;
        }
        let ladder = &self.judge.engine.policy.document().ladder;
        let theirs = author.role.as_deref().map(|word| ladder.role(word));
        match (author.kind, theirs) {
            (CallerKind::Service, _) | (_, Some(None)) => false,
            (CallerKind::User, None) => self.own_role().is_some(),
            (CallerKind::User, Some(role)) => self.own_role() > role,
        }
    }

    fn block(&self) -> Work {
        let (user, conversation, app) = (self.user.to_owned(), self.wish.scope.clone(), self.wish.app.clone());
        self.put(Record::Block(Block { user, conversation, app, origin: self.origin() }))
    }

    fn lift_block(&self) -> Result<Work, Why> {
        let file = self.judge.engine.policy.register();
        let near = self.apps.iter().flat_map(|app| file.about(self.user, app.name(), Some(&self.wish.scope)));
        let mut lines = near.filter_map(|entry| match entry {
            Entry::Block(block) if block.conversation.covers(&self.wish.scope) => block.origin.line(),
            _ => None,
        });
        if let Some(line) = lines.next() {
            return Err(Why::File(line, "it is blocked".to_owned()));
        }
        let here = self.index.at(Table::Blocks, self.user, &self.wish.scope);
        Ok((Vec::new(), here.into_iter().filter(|record| record.app() == self.wish.app.as_ref()).collect()))
    }

    fn set_role(&self, word: &str) -> Result<Work, Why> {
        if word == OWNER {
            return Err(Why::Conflict("an owner is set with the conversation, once".to_owned()));
        }
        self.unfiled()?;
        if let Some(other) = self.other_role() {
            return Err(other);
        }
        Ok(self.put(self.tenure(Held::Word(word.into()))))
    }

    /// Leaves in a role's place that it was taken away, so that no token and no other service gives it again.
    fn remove_role(&self, word: &str) -> Result<Work, Why> {
        self.unfiled()?;
        if let Some(other) = self.other_role() {
            return Err(other);
        }
        let ladder = &self.judge.engine.policy.document().ladder;
        for app in &self.apps {
            let rank = self.rank(self.user, app);
            let held = rank.strongest.filter(|_| rank.is_bound).map(|role| ladder.word(role));
            if let Some(held) = held.filter(|held| *held != word) {
                return Err(Why::Conflict(format!("the role there is {held}, not {word}")));
            }
        }
        let removed = self.tenure(Held::Removed);
        if !self.is_service() {
            self.outranks_what_is_left(&removed)?;
        }
        Ok(self.put(removed))
    }

    fn tenure(&self, held: Held) -> Record {
        let (scope, app) = (self.wish.scope.clone(), self.wish.app.clone());
        Record::Role(self.user.to_owned(), Tenure { scope, app, held, listed: false, origin: self.origin() })
    }

    /// The policy file decides alone where it says anything.
    fn unfiled(&self) -> Result<(), Why> {
        let policy = &self.judge.engine.policy;
        let line = self.apps.iter().find_map(|app| policy.filed_role(self.user, app.name(), &self.wish.scope));
        line.map_or(Ok(()), |line| Err(Why::File(line, "the role there is set".to_owned())))
    }

    /// An entry of the same place for other apps, which would still hold; and that the user owns the conversation.
    fn other_role(&self) -> Option<Why> {
        let overlaps =
            |app: Option<&Arc<str>>| app.is_none() || self.wish.app.is_none() || app == self.wish.app.as_ref();
        let here = self.wish.scope.exact().map(|id| self.index.conversations_of(id)).into_iter().flatten();
        let mut owned = here.filter(|conversation| !conversation.forgotten && overlaps(conversation.app.as_ref()));
        if owned.any(|conversation| conversation.owner.as_deref() == Some(self.user)) {
            return Some(Why::Conflict("it is the owner, which is set once".to_owned()));
        }
        let roles = self.index.at(Table::Roles, self.user, &self.wish.scope);
        let held = |record: &&Record| matches!(record, Record::Role(_, tenure) if tenure.held != Held::Removed);
        let mut others = roles.iter().filter(held).filter(|record| record.app() != self.wish.app.as_ref());
        let other = others.find(|record| overlaps(record.app()))?;
        let where_ = other.app().map_or_else(|| "all apps".to_owned(), |app| format!("the app {app}"));
        Some(Why::Conflict(format!("it has a role there for {where_}: change that")))
    }

    fn outranks_role(&self, word: &str) -> Result<(), Why> {
        let given = self.judge.engine.policy.document().ladder.role(word);
        if given.is_none() || self.own_role() <= given {
            return Err(Why::NotOutranked(format!("the role {word} is not weaker than the moderator's own")));
        }
        self.outranks_user()
    }

    fn outranks_user(&self) -> Result<(), Why> {
        let outranked = |app: &&App| self.rank(&self.wish.client, app).outranks(&self.rank(self.user, app));
        if self.apps.iter().all(outranked) {
            return Ok(());
        }
        Err(Why::NotOutranked("what it is there is not weaker than what the moderator is".to_owned()))
    }

    /// Whether the role that is left, once `removed` is in its place, is weaker than the moderator's.
    fn outranks_what_is_left(&self, removed: &Record) -> Result<(), Why> {
        let mut register = Register::default();
        let user: Arc<str> = Arc::from(self.user);
        for entry in self.index.register().all_about(self.user) {
            register.add(&user, entry.clone());
        }
        if let Record::Role(_, tenure) = removed {
            let is_replaced = |entry: &Entry| matches!(entry, Entry::Role(old) if !old.listed && old.app == tenure.app);
            register.remove(self.user, &tenure.scope, is_replaced);
            register.add(&user, Entry::Role(tenure.clone()));
        }
        let policy = &self.judge.engine.policy;
        for app in &self.apps {
            let facts = Facts { registers: &[policy.register(), &register], told: self.judge.told_at(app) };
            let left = policy.rank(self.user, app.name(), &self.wish.scope, facts);
            if !self.rank(&self.wish.client, app).outranks(&left) {
                return Err(Why::NotOutranked("the role that is left is not weaker than the moderator's".to_owned()));
            }
        }
        Ok(())
    }

    fn set_conversation(&self, kind: Option<Kind>, owner: Option<&str>) -> Result<Work, Why> {
        let id = self.conversation_id()?;
        if owner.is_some() && !self.is_service() {
            return Err(Why::NotOutranked("only services name a conversation's owner".to_owned()));
        }
        let before = self.index.conversation(id, self.wish.app.as_ref());
        let known = before.and_then(|before| before.owner.as_deref());
        if owner.is_some() && known.is_some() && owner != known {
            return Err(Why::Conflict("it has another owner, which is set once".to_owned()));
        }
        let kind = kind.or(before.map(|before| before.kind)).unwrap_or_else(|| Kind::by_id(id));
        let owner = owner.or(known).map(str::to_owned);
        let (id, app, origin) = (id.to_owned(), self.wish.app.clone(), self.origin());
        Ok(self.put(Record::Conversation(Conversation { id, app, kind, owner, forgotten: false, origin })))
    }

    /// Forgets all but the owner, which nobody else may become.
    fn forget_conversation(&self) -> Result<Work, Why> {
        let id = self.conversation_id()?;
        let Some(before) = self.index.conversation(id, self.wish.app.as_ref()).filter(|before| !before.forgotten)
        else {
            return Ok((Vec::new(), Vec::new()));
        };
        let forgotten = Conversation { forgotten: true, origin: self.origin(), ..before.clone() };
        match before.owner {
            Some(_) => Ok(self.put(Record::Conversation(forgotten))),
            None => Ok((Vec::new(), vec![Record::Conversation(before.clone())])),
        }
    }

    /// The conversation's id, if neither the policy file nor an entry for other apps speaks of it.
    fn conversation_id(&self) -> Result<&str, Why> {
        let id = self.user;
        let document = self.judge.engine.policy.document();
        let overlaps =
            |app: Option<&Arc<str>>| app.is_none() || self.wish.app.is_none() || app == self.wish.app.as_ref();
        let mut filed = document.entries.conversations.iter().filter(|filed| filed.id == *id);
        if let Some(filed) = filed.find(|filed| overlaps(filed.app.as_ref())) {
            return Err(Why::File(filed.line, "the conversation is told of".to_owned()));
        }
        let mut others = self.index.conversations_of(id).filter(|other| other.app != self.wish.app);
        if others.any(|other| overlaps(other.app.as_ref())) {
            return Err(Why::Conflict("it has an entry for other apps already: change that".to_owned()));
        }
        Ok(id)
    }

    fn is_service(&self) -> bool {
        self.wish.client.is_empty()
    }

    fn origin(&self) -> Origin {
        Origin::Roster { author: Arc::clone(&self.author), at: self.judge.now }
    }

    /// The weakest role that the moderator has in the place, at any of the apps.
    fn own_role(&self) -> Option<Role> {
        self.weakest(&self.wish.client)
    }

    fn weakest(&self, user: &str) -> Option<Role> {
        self.apps.iter().map(|app| self.rank(user, app)).map(|rank| rank.weakest.filter(|_| !rank.is_unlisted)).min()?
    }

    fn rank(&self, user: &str, app: &App) -> Rank {
        let policy = &self.judge.engine.policy;
        let registers = [policy.register(), self.index.register()];
        let facts = Facts { registers: &registers, told: self.judge.told_at(app) };
        policy.rank(user, app.name(), &self.wish.scope, facts)
    }
}

impl Record {
    /// Whether another says the same of the same, whoever said it and when.
    fn says_the_same_as(&self, other: &Record) -> bool {
        match (self, other) {
            (Record::Ban(a), Record::Ban(b)) | (Record::Mute(a), Record::Mute(b)) => {
                (a.until, &a.reason) == (b.until, &b.reason)
            }
            (Record::Role(_, a), Record::Role(_, b)) => a.held == b.held,
            (Record::Block(_), Record::Block(_)) => true,
            (Record::Conversation(a), Record::Conversation(b)) => {
                (a.kind, &a.owner, a.forgotten) == (b.kind, &b.owner, b.forgotten)
            }
            _ => false,
        }
    }
}

/// A ban or mute of a table that holds throughout a place.
fn holds<'e>(table: Table, entry: &'e Entry, place: &Pattern, now: Millis) -> Option<&'e Sanction> {
    let sanction = match entry {
        Entry::Ban(ban) if table == Table::Bans => ban,
        Entry::Mute(mute) if table == Table::Mutes => mute,
        _ => return None,
    };
    let counts = sanction.scope.covers(place) && sanction.until.is_none_or(|until| now < until);
    counts.then_some(sanction)
}

fn is_sanction(record: &Record, sanction: &Sanction) -> bool {
    matches!(record, Record::Ban(own) | Record::Mute(own) if own == sanction)
}

fn still_held(table: Table, left: &Sanction) -> Why {
    let word = if table == Table::Bans { "banned" } else { "muted" };
    match &left.origin {
        Origin::File { line } => Why::File(*line, format!("it is {word} in {}", left.scope)),
        Origin::Roster { .. } => {
            let app = left.app.as_ref().map_or(String::new(), |app| format!(" for the app {app}"));
            Why::Conflict(format!("it is {word} in {}{app}: lift that", left.scope))
        }
    }
}

//! The policy against an oracle: a second implementation that is slow and, one hopes, obviously right. It knows no indexes and no
//! early exits. It decides about single names only; about a pattern, by deciding about every name of a small world that lies in it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod invariants;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use chat_signer::model::{
    Action, ActionSet, Caller, CallerKind, ConversationKind, Millis, Pattern, RequestedGrant, RequiredAction, Role,
    RoleHierarchy, SigningRequest, Template, Vendor,
};
use chat_signer::policy::{
    BindingEntry, Block, ClientCondition, ConversationDetails, ConversationEntry, ConversationFacts, DecisionData,
    Denied, DenyReason, Effect, EntryAuthor, EntryIndex, EntryOrigin, FactsRelevance, Permit, Policy, PolicyDocument,
    PolicyEntries, RoleBinding, RoleGrant, Rule, Sanction, TargetCondition, UserEntry,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

// ---------------------------------------------------------------------------------------------------------------- the world

const NOW: Millis = Millis(1_000);
const PEOPLE: [&str; 4] = ["ann", "bob", "eve", "svc"];
const APPS: [&str; 2] = ["lean", "able"];
const SCOPES: [&str; 22] = [
    "*",
    "a",
    "a:*",
    "a::*",
    "a:x",
    "a:x:*",
    "a:x::*",
    "a:y",
    "a::$chat",
    "a::$chat:*",
    "a:x::$chat::t",
    "b",
    "b:*",
    "c",
    "_tmp:*",
    "_tmp:x",
    "[m]a",
    "[?r]a:x",
    "d-*",
    "d-x",
    "a:d.*",
    "a:d.x-*",
];

const TEMPLATES: [&str; 17] = [
    "*",
    "a:*",
    "a::*",
    "a",
    "a:x",
    "a:x:*",
    "a::$chat",
    "a:x::$chat:*",
    "{client}:*",
    "a:{client}",
    "b:*",
    "[m]a",
    "d-*",
    "d-{client}",
    "a:d.{client}",
    "a:d.x-*",
    "a:{client}.*",
];
const TEMPLATES_WITH_CLAIMS: [&str; 10] = [
    "{claim:tenant}:x",
    "a:d.{claim:tenant}-*",
    "d-{claim:tenant}",
    "a:{claim:tenant}:p",
    "{claim:tenant}:*",
    "{claim:tenant}",
    "a:{claim:tenant}",
    "a:{claim:tenant}:*",
    "a::{claim:tenant}",
    "{client}:{claim:tenant}",
];

/// Every name there is: enough of them that two patterns which differ in meaning differ in some name.
static WORLD: LazyLock<Vec<String>> = LazyLock::new(world);

/// Every segment of a name between these characters: what a placeholder can stand for.
fn segments(delimiters: &[char]) -> Vec<String> {
    let segments = WORLD.iter().flat_map(|name| name.split(delimiters));
    let can_be_filled_in = segments.filter(|segment| !segment.is_empty() && !segment.starts_with('['));
    can_be_filled_in.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

fn world() -> Vec<String> {
    let mut names = Vec::new();
    let personal =
        PEOPLE.iter().flat_map(|person| [(*person).to_owned(), format!("a:{person}"), format!("{person}:x")]);
    let stems = [
        "a",
        "b",
        "c",
        "x",
        "a:x",
        "a:y",
        "a:z",
        "b:x",
        "b:y",
        "a::x",
        "a:x:p",
        "a:x:q",
        "b:x:p",
        "_tmp",
        "_tmp:x",
        "_tmp:y",
        "d-x",
        "d-y",
        "d-",
        "a:d.x",
        "a:d.y",
        "a:d.x-p",
        "a:d.x-q",
        "a:d.y-p",
        "d-x:x",
        "a:d.x:p",
        "a:d.x-p:p",
    ];
    for stem in personal.chain(stems.map(str::to_owned)) {
        for tail in ["", "::$chat", "::$chat:s", "::$chat::t", "::$chatter", "::w", ":w"] {
            names.push(format!("{stem}{tail}"));
        }
    }
    for qualified in ["[m]a", "[m]b", "[?r]a:x", "[m]a:w"] {
        names.push(qualified.to_owned());
    }
    let others: Vec<_> = filled_templates().into_iter().filter(|name| !names.contains(name)).collect();
    names.extend(others);
    names
}

/// A name for each way to fill in a template.
fn filled_templates() -> BTreeSet<String> {
    let templates = TEMPLATES.iter().chain(&TEMPLATES_WITH_CLAIMS);
    let filled = templates.flat_map(|template| {
        PEOPLE.map(|person| template.replace("{client}", person).replace("{claim:tenant}", "x").replace('*', "x"))
    });
    filled.collect()
}

// ------------------------------------------------------------------------------------------------------- patterns, by trying

/// The conversation that a binding is about: the room itself, where a part of it is named.
fn home(scope: &Pattern) -> Pattern {
    let room = room(scope.prefix());
    if room == scope.prefix() { scope.clone() } else { Pattern::Exact(room.to_owned()) }
}

/// Whether the name is among those that the pattern's text stands for.
fn literally(pattern: &Pattern, name: &str) -> bool {
    match pattern {
        Pattern::Exact(own) => own == name,
        Pattern::Namespace(prefix) => name.starts_with(prefix.as_str()),
        Pattern::Everything => true,
    }
}

/// The room that a channel belongs to; any other name itself. `r::$chat` is a channel of `r`, and so is all in `r::$chat:*`.
fn room(name: &str) -> &str {
    let segments: Vec<&str> = name.split(':').collect();
    let is_chat = |index: &usize| *index > 0 && segments[*index] == "$chat" && segments[index - 1].is_empty();
    let Some(chat) = (0..segments.len()).find(is_chat) else { return name };
    &name[..segments[..chat - 1].join(":").len()]
}

fn behind_qualifier(name: &str) -> &str {
    if name.starts_with('[') { &name[name.find(']').unwrap() + 1..] } else { name }
}

/// The names that are asked about: those of the world in a pattern, which leaves out what starts with `[`.
fn meant(asked: &Pattern) -> Vec<&str> {
    if let Pattern::Exact(name) = asked {
        return vec![name];
    }
    let names = WORLD.iter().map(String::as_str).filter(|name| literally(asked, name) && !name.starts_with('['));
    let names: Vec<&str> = names.collect();
    assert!(!names.is_empty(), "the world is too small for {asked}");
    names
}

/// Whether a binding or an allow rule is about a name: by the name or, for a room's channel, the room's. `*` and namespaces leave out
/// what starts with `[`.
fn covers(own: &Pattern, name: &str) -> bool {
    match own {
        Pattern::Exact(exact) => name == exact || room(name) == exact,
        _ => !name.starts_with('[') && literally(own, name),
    }
}

/// Whether what takes away is about a name: by the name or the room, with or without a qualifier.
fn touches(own: &Pattern, name: &str) -> bool {
    let own = home(own);
    let unqualified = behind_qualifier(name);
    let own_name = Pattern::Exact(behind_qualifier(own.prefix()).to_owned());
    [name, room(name), unqualified, room(unqualified)]
        .iter()
        .any(|name| literally(&own, name) || matches!(own, Pattern::Exact(_)) && literally(&own_name, name))
}

/// The same about any name of what is asked.
fn overlaps(own: &Pattern, asked: &Pattern) -> bool {
    *own == Pattern::Everything || meant(asked).iter().any(|name| touches(own, name))
}

// --------------------------------------------------------------------------------------------------------------- the oracle

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Allowed { rules: Vec<String>, granted: Vec<(String, Vec<&'static str>)> },
    Banned(String, String),
    TargetBanned(String, String),
    Muted(String, String),
    TargetBlocks(String),
    ShutOut(String),
    TargetShutOut(String),
    UnknownConversation,
    DeniedBy(String),
    NothingMatched,
}

struct Oracle<'a> {
    document: &'a PolicyDocument,
    moderation: &'a Runtime,
    caller: &'a Caller,
    signing_request: &'a SigningRequest,
    told: &'a Account,
}

/// What was changed at run time: people and conversations as in a policy file, and roles that were given or taken away.
#[derive(Clone, Debug, Default)]
struct Runtime {
    entries: PolicyEntries,
    roles: Vec<(String, RoleBinding)>,
}

/// What a binding says: a role, none (a word that isn't listed), or that a role was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Removed,
    Is(Option<Role>),
}

/// A binding: where it is from (0 is the file, 1 the moderation entries, 2 what is told, 3 the token), its scope, and what it says.
type Bound = (u8, Pattern, Says);

/// What another service tells: conversations by name, `None` where there is no such one.
type Account = BTreeMap<String, Option<ConversationDetails>>;

struct Asked<'a> {
    action: Action,
    place: Option<&'a Pattern>,
    targets: &'a [String],
}

/// The same about one name.
#[derive(Clone, Copy)]
struct Named<'a> {
    action: Action,
    name: Option<&'a str>,
    targets: &'a [String],
}

impl<'a> Asked<'a> {
    /// The questions about each name that is meant.
    fn each(&self) -> Vec<Named<'a>> {
        let Asked { action, place, targets } = *self;
        let Some(place) = place else { return vec![Named { action, name: None, targets }] };
        meant(place).into_iter().map(|name| Named { action, name: Some(name), targets }).collect()
    }
}

impl Oracle<'_> {
    fn decide(&self) -> Answer {
        let mut rules: Vec<String> = Vec::new();
        let mut note = |id: String| {
            if !rules.contains(&id) {
                rules.push(id);
            }
        };
        for need in &self.signing_request.required_actions {
            let asked = Asked { action: need.action, place: need.conversation.as_ref(), targets: &need.targets };
            match self.decide_one(&asked) {
                Ok(ids) => ids.into_iter().for_each(&mut note),
                Err(answer) => return answer,
            }
        }
        let (mut granted, mut refusals) = (Vec::new(), Vec::new());
        for want in &self.signing_request.requested_grants {
            let mut allowed = Vec::new();
            for action in want.operations.iter() {
                match self.decide_one(&Asked { action, place: Some(&want.resource), targets: &[] }) {
                    Ok(ids) => {
                        ids.into_iter().for_each(&mut note);
                        allowed.push(action.as_str());
                    }
                    Err(answer) => refusals.push(answer),
                }
            }
            if !allowed.is_empty() {
                granted.push((want.resource.to_string(), allowed));
            }
        }
        if granted.is_empty() && !refusals.is_empty() {
            return most_telling(refusals);
        }
        Answer::Allowed { rules, granted }
    }

    /// A user hears what stands against someone else only if the rules alone would not refuse.
    fn decide_one(&self, asked: &Asked<'_>) -> Result<Vec<String>, Answer> {
        let Some(obstacle) = self.in_the_way(asked) else { return self.by_rules(asked) };
        let own = match &obstacle {
            Answer::Banned(user, _) | Answer::Muted(user, _) | Answer::ShutOut(user) => *user == self.caller.subject,
            _ => false,
        };
        match self.by_rules(asked) {
            Err(refusal) if self.caller.kind == CallerKind::User && !own => Err(refusal),
            _ => Err(obstacle),
        }
    }

    fn in_the_way(&self, asked: &Asked<'_>) -> Option<Answer> {
        let concerned = [self.caller.subject.as_str(), self.signing_request.client.as_str()];
        for person in concerned {
            if let Some(ban) = self.sanction(|entries| &entries.bans, person, asked.place, self.is_a_service(person)) {
                return Some(Answer::Banned(person.to_owned(), ban.scope.to_string()));
            }
        }
        if matches!(asked.action, Action::Invite | Action::Create | Action::UnblockClients) {
            for target in asked.targets {
                if let Some(ban) = self.sanction(|entries| &entries.bans, target, asked.place, false) {
                    return Some(Answer::TargetBanned(target.clone(), ban.scope.to_string()));
                }
            }
        }
        let sends = [
            "publish",
            "presence",
            "object-publish",
            "annotation-publish",
            "message-update-own",
            "message-update-any",
            "message-delete-own",
            "message-delete-any",
            "push-admin",
        ];
        if sends.contains(&asked.action.as_str()) {
            for person in concerned {
                let is_service = self.is_a_service(person);
                if let Some(mute) = self.sanction(|entries| &entries.mutes, person, asked.place, is_service) {
                    return Some(Answer::Muted(person.to_owned(), mute.scope.to_string()));
                }
            }
        }
        let shut_out = |user: &String| {
            let told = asked.place.and_then(|place| self.told.get(home(place).exact()?));
            told.is_some_and(|details| details.as_ref().is_some_and(|details| details.blocked.contains(user)))
        };
        if asked.action == Action::Join && shut_out(&self.signing_request.client) {
            return Some(Answer::ShutOut(self.signing_request.client.clone()));
        }
        if asked.action == Action::Invite {
            if let Some(target) = asked.targets.iter().find(|target| shut_out(target)) {
                return Some(Answer::TargetShutOut(target.clone()));
            }
            for target in asked.targets {
                let blocks = |block: &Block| {
                    block.user == *target
                        && self.for_this_app(block.app.as_deref())
                        && asked.place.is_some_and(|place| overlaps(&block.conversation, place))
                };
                if self.all_entries().any(|entries| entries.blocks.iter().any(blocks)) {
                    return Some(Answer::TargetBlocks(target.clone()));
                }
            }
        }
        None
    }

    /// For each name: the first deny rule, or else the first allow rule. One deny rule about one name is enough, and one name that no
    /// rule allows.
    fn by_rules(&self, asked: &Asked<'_>) -> Result<Vec<String>, Answer> {
        let each = asked.each();
        if each
            .iter()
            .any(|named| named.name.is_some_and(|name| self.told.get(room(name)).is_some_and(Option::is_none)))
        {
            return Err(Answer::UnknownConversation);
        }
        let first = |effect: Effect, named: &Named<'_>| {
            let rules = self.document.rules.iter().filter(|rule| rule.effect == effect && self.matches(rule, named));
            rules.map(|rule| rule.id.clone()).min()
        };
        if let Some(id) = each.iter().filter_map(|named| first(Effect::Deny, named)).min() {
            return Err(Answer::DeniedBy(id));
        }
        each.iter().map(|named| first(Effect::Allow, named).ok_or(Answer::NothingMatched)).collect()
    }

    fn for_this_app(&self, app: Option<&str>) -> bool {
        app.is_none() || app == Some(&*self.signing_request.app)
    }

    /// Whether the policy file tells of a conversation: then nobody else says who is in it as what.
    fn is_filed(&self, id: &str) -> bool {
        let place = |id: &str| home(&Pattern::Exact(id.to_owned()));
        let mut filed = self.document.entries.conversations.iter();
        filed.any(|filed| place(&filed.id) == place(id) && self.for_this_app(filed.app.as_deref()))
    }

    fn all_entries(&self) -> impl Iterator<Item = &PolicyEntries> {
        [&self.document.entries, &self.moderation.entries].into_iter()
    }

    /// Who is shut out by the policy file alone: the calling service. What is done at run time is done to users.
    fn is_a_service(&self, person: &str) -> bool {
        self.caller.kind == CallerKind::Service
            && person == self.caller.subject
            && person != self.signing_request.client
    }

    fn sanction(
        &self,
        of: impl Fn(&PolicyEntries) -> &Vec<Sanction>,
        person: &str,
        place: Option<&Pattern>,
        file_alone: bool,
    ) -> Option<&Sanction> {
        let mut counting: Vec<&Sanction> = self
            .all_entries()
            .take(if file_alone { 1 } else { 2 })
            .flat_map(of)
            .filter(|one| one.user == person && self.for_this_app(one.app.as_deref()))
            .filter(|one| one.until.is_none_or(|until| until > NOW))
            .filter(|one| match place {
                None => one.scope == Pattern::Everything,
                Some(place) => overlaps(&one.scope, place),
            })
            .collect();
        counting.sort_by_key(|one| {
            (std::cmp::Reverse(one.until.map_or(u64::MAX, |until| until.0)), one.scope.clone(), one.reason.clone())
        });
        counting.first().copied()
    }

    fn matches(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        rule.actions.contains(asked.action)
            && rule.apps.as_ref().is_none_or(|apps| apps.contains(&self.signing_request.app.to_string()))
            && self.fits_caller(rule, asked)
            && self.fits_number(rule, asked)
            && self.fits_place(rule, asked)
            && self.fits_roles(rule, asked)
            && self.fits_kinds(rule, asked)
            && self.fits_targets(rule, asked)
    }

    /// Whether this caller is one whom the rule is about.
    fn fits_caller(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        let (caller, allow) = (self.caller, rule.effect == Effect::Allow);
        let is_service = caller.kind == CallerKind::Service;
        if allow && asked.action == Action::AppToken && !is_service {
            return false;
        }
        if let Some(callers) = &rule.callers
            && !callers.contains(&caller.kind)
        {
            return false;
        }
        if let Some(services) = &rule.services
            && !(is_service && services.contains(&caller.subject))
        {
            return false;
        }
        if let Some(names) = &rule.authenticators
            && !names.contains(&caller.authenticator.to_string())
        {
            return false;
        }
        match (rule.client, allow) {
            (None | Some(ClientCondition::Itself), true) | (Some(ClientCondition::Itself), false)
                if !self.is_own_client() =>
            {
                return false;
            }
            (Some(ClientCondition::Anyone), true) if !is_service && rule.caller_roles.is_none() => return false,
            _ => {}
        }
        rule.claims.iter().all(|(name, value)| caller.claims.get(name) == Some(value))
    }

    fn is_own_client(&self) -> bool {
        self.caller.kind == CallerKind::User && self.caller.subject == self.signing_request.client
    }

    fn fits_number(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        let Some(max) = rule.max_members else { return true };
        let by_need = matches!(asked.action, Action::Create | Action::History);
        let named = if by_need { asked.targets } else { &self.signing_request.members };
        let mut named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
        if asked.action == Action::Create {
            named.insert(&self.signing_request.client);
        }
        named.len() <= max
    }

    fn fits_place(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        let allow = rule.effect == Effect::Allow;
        let Some(templates) = &rule.conversations else {
            let must_be_named = asked.name.is_some_and(|name| name.starts_with('['));
            return !(allow && must_be_named);
        };
        let Some(name) = asked.name else { return false };
        templates.iter().any(|template| {
            let mut readings = self.readings(template, allow).into_iter();
            readings.any(|pattern| if allow { covers(&pattern, name) } else { touches(&pattern, name) })
        })
    }

    /// Every pattern that a template may stand for. A placeholder without a usable value stands for no segment in an allow rule, and for every one
    /// in a deny rule.
    fn readings(&self, template: &Template, allow: bool) -> Vec<Pattern> {
        let tenant = self.caller.claims.get("tenant").and_then(Value::as_str).unwrap_or_default();
        let mut texts = vec![template.source().to_owned()];
        for (placeholder, value) in [("{client}", self.signing_request.client.as_str()), ("{claim:tenant}", tenant)] {
            let Some((before, after)) = template.source().split_once(placeholder) else { continue };
            let beside = before.chars().last().into_iter().chain(after.chars().next());
            let delimiters: Vec<char> = beside.chain([':']).collect();
            let is_segment = !value.contains(delimiters.as_slice()) && !value.contains('*');
            let is_usable = !value.is_empty() && is_segment && !value.starts_with('[');
            let values = match is_usable {
                true => vec![value.to_owned()],
                false if allow => Vec::new(),
                false => segments(&delimiters),
            };
            let filled = |text: &String| {
                if text.contains(placeholder) {
                    values.iter().map(|value| text.replace(placeholder, value)).collect()
                } else {
                    vec![text.clone()]
                }
            };
            texts = texts.iter().flat_map(filled).collect();
        }
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn fits_roles(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        let client = || self.role_of(&self.signing_request.client, self.is_own_client(), asked.name);
        let caller = || match self.caller.kind {
            CallerKind::Service => at(&self.token().collect::<Vec<_>>(), None, asked.name),
            CallerKind::User => self.role_of(&self.caller.subject, true, asked.name),
        };
        let fits = |roles: &Vec<Role>, role: Option<Role>| role.is_some_and(|role| roles.contains(&role));
        rule.roles.as_ref().is_none_or(|roles| fits(roles, client()))
            && rule.caller_roles.as_ref().is_none_or(|roles| fits(roles, caller()))
    }

    fn fits_kinds(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        let Some(kinds) = &rule.kinds else { return true };
        asked.name.is_some_and(|name| kinds.contains(&self.kind(name)))
    }

    fn fits_targets(&self, rule: &Rule, asked: &Named<'_>) -> bool {
        let Some(are) = rule.targets else { return true };
        let good = |target: &String| match are {
            TargetCondition::Itself => *target == self.signing_request.client,
            TargetCondition::Others => *target != self.signing_request.client,
            TargetCondition::Outranked => {
                *target != self.signing_request.client
                    && self.outranks(rule.effect == Effect::Allow, target, asked.name)
            }
        };
        let targets = &asked.targets;
        !targets.is_empty()
            && if rule.effect == Effect::Allow { targets.iter().all(good) } else { targets.iter().any(good) }
    }

    /// Every binding of a user.
    fn bindings(&self, user: &str, with_token: bool) -> Vec<Bound> {
        let mut all = Vec::new();
        for binding in &self.document.entries.bindings {
            if binding.user == user && self.for_this_app(binding.app.as_deref()) {
                all.push((0, home(&binding.scope), Says::Is(binding.role)));
            }
        }
        for (source, entries) in (0..).zip(self.all_entries()) {
            for conversation in &entries.conversations {
                if source > 0 && self.is_filed(&conversation.id) {
                    continue;
                }
                for (person, role) in &conversation.members {
                    if person == user && self.for_this_app(conversation.app.as_deref()) {
                        all.push((source, Pattern::Exact(conversation.id.clone()), Says::Is(*role)));
                    }
                }
            }
        }
        for (person, role_binding) in &self.moderation.roles {
            if person == user && self.for_this_app(role_binding.app.as_deref()) {
                let says = match &role_binding.grant {
                    RoleGrant::Role(role) => Says::Is(*role),
                    RoleGrant::RoleName(word) => Says::Is(self.document.role_hierarchy.find(word)),
                    RoleGrant::Removed => Says::Removed,
                    RoleGrant::Remembered => continue,
                };
                all.push((1, home(&role_binding.scope), says));
            }
        }
        for (name, details) in self.told {
            if let Some(details) = details {
                let roles = details.roles.iter().filter(|(person, _)| person == user).map(|(_, role)| *role);
                all.push((2, Pattern::Exact(name.clone()), Says::Is(roles.max())));
            }
        }
        if with_token {
            all.extend(self.token());
        }
        all
    }

    fn token(&self) -> impl Iterator<Item = Bound> {
        self.caller.bindings.iter().map(|(scope, role)| (3, home(scope), Says::Is(Some(*role))))
    }

    /// The role that someone has in a conversation; at scope `*`, where there is none.
    fn role_of(&self, user: &str, with_token: bool, name: Option<&str>) -> Option<Role> {
        at(&self.bindings(user, with_token), self.document.default_role, name)
    }

    fn kind(&self, name: &str) -> ConversationKind {
        if behind_qualifier(name).starts_with("_tmp:") {
            return ConversationKind::Temporary;
        }
        let known = |room: &str| {
            let mut filed = self.all_entries().flat_map(|entries| &entries.conversations);
            let filed = filed.find(|one| one.id == room && self.for_this_app(one.app.as_deref())).map(|one| one.kind);
            filed.or_else(|| self.told.get(room)?.as_ref()?.kind)
        };
        known(room(name)).or_else(|| known(room(behind_qualifier(name)))).unwrap_or(ConversationKind::Group)
    }

    /// Without the token. An unlisted role word keeps a target from being outranked, except for a deny rule.
    fn outranks(&self, allow: bool, target: &str, name: Option<&str>) -> bool {
        let bindings = self.bindings(target, false);
        let is_unlisted = |bound: &Bound| bound.0 < 2 && bound.2 == Says::Is(None);
        !(allow && best(&bindings, name).is_some_and(is_unlisted))
            && self.role_of(target, false, name) < self.role_of(&self.signing_request.client, false, name)
    }
}

/// The binding that decides for a conversation: of the first source that covers it, the most specific, of equal ones the strongest. One
/// that says a role was taken away decides only where its source has no other. Without a conversation, of those to `*`.
fn best<'b>(bindings: &'b [Bound], name: Option<&str>) -> Option<&'b Bound> {
    let is_about = |scope: &Pattern| name.map_or(*scope == Pattern::Everything, |name| covers(scope, name));
    let mut covering: Vec<_> = bindings.iter().filter(|(_, scope, _)| is_about(scope)).collect();
    covering.sort_by_key(|(source, scope, says)| {
        let specific = match scope {
            Pattern::Exact(_) => usize::MAX,
            Pattern::Namespace(prefix) => prefix.len(),
            Pattern::Everything => 0,
        };
        (*source, *says == Says::Removed, std::cmp::Reverse((specific, *says)))
    });
    covering.first().copied()
}

fn at(bindings: &[Bound], default: Option<Role>, name: Option<&str>) -> Option<Role> {
    match best(bindings, name) {
        Some((.., Says::Is(role))) => *role,
        Some((.., Says::Removed)) | None => default,
    }
}

/// The first of the gravest.
fn most_telling(refusals: Vec<Answer>) -> Answer {
    let grave = |answer: &Answer| match answer {
        Answer::Banned(..) => 0,
        Answer::DeniedBy(_) => 1,
        Answer::Muted(..) | Answer::UnknownConversation => 2,
        _ => 3,
    };
    let gravest = refusals.iter().map(grave).min().unwrap();
    refusals.into_iter().find(|answer| grave(answer) == gravest).unwrap()
}

// ------------------------------------------------------------------------------------------------------- random worlds

fn role() -> impl Strategy<Value = Role> {
    (0..3_u8).prop_map(Role)
}

fn pattern() -> impl Strategy<Value = Pattern> {
    select(&SCOPES[..]).prop_map(|text| Pattern::parse(text).unwrap())
}

fn person() -> impl Strategy<Value = String> {
    select(&PEOPLE[..]).prop_map(str::to_owned)
}

fn app() -> impl Strategy<Value = Option<Arc<str>>> {
    prop_oneof![3 => Just(None), 1 => select(&APPS[..]).prop_map(|name| Some(name.into()))]
}

fn maybe<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    prop_oneof![4 => Just(None), 1 => strategy.prop_map(Some)]
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    subsequence(vec![Role(0), Role(1), Role(2)], 1..=3)
}

fn actions() -> impl Strategy<Value = ActionSet> {
    let some = vec![
        Action::Login,
        Action::Create,
        Action::Join,
        Action::Invite,
        Action::Kick,
        Action::UnblockClients,
        Action::AppToken,
        Action::Publish,
        Action::Subscribe,
        Action::History,
        Action::Ban,
        Action::SetRole,
    ];
    prop_oneof![1 => Just(ActionSet::all_by_default()), 3 => subsequence(some, 1..=7).prop_map(|list| list.into_iter().collect())]
}

fn rule() -> impl Strategy<Value = Rule> {
    let who = (
        maybe(subsequence(vec![CallerKind::User, CallerKind::Service], 1..=2)),
        maybe(subsequence(vec!["svc".to_owned(), "ann".to_owned()], 1..=2)),
        maybe(subsequence(vec!["idp".to_owned(), "other".to_owned()], 1..=2)),
        maybe(subsequence(APPS.map(str::to_owned).to_vec(), 1..=2)),
        prop_oneof![Just(None), Just(Some(ClientCondition::Itself)), Just(Some(ClientCondition::Anyone))],
        maybe(Just(vec![("tenant".to_owned(), json!("x"))])),
    );
    let what = (
        maybe(roles()),
        maybe(roles()),
        maybe(select(vec![TargetCondition::Itself, TargetCondition::Others, TargetCondition::Outranked])),
        maybe(subsequence(ConversationKind::ALL.to_vec(), 1..=3)),
        maybe(proptest::collection::vec(template(), 1..3)),
        maybe(1..4_usize),
    );
    (any::<bool>(), actions(), who, what).prop_map(|(deny, actions, who, what)| {
        let mut rule = Rule::new("", if deny { Effect::Deny } else { Effect::Allow }, actions);
        (rule.callers, rule.services, rule.authenticators, rule.apps, rule.client, _) = who.clone();
        (rule.roles, rule.caller_roles, rule.targets, rule.kinds, rule.conversations, rule.max_members) = what;
        rule.claims = who.5.unwrap_or_default();
        rule
    })
}

fn template() -> impl Strategy<Value = Template> {
    let text = prop_oneof![2 => select(&TEMPLATES[..]), 1 => select(&TEMPLATES_WITH_CLAIMS[..])];
    text.prop_map(|text| Template::parse(text).unwrap())
}

fn sanction() -> impl Strategy<Value = Sanction> {
    let until = prop_oneof![2 => Just(None), 1 => select(vec![Some(Millis(999)), Some(NOW), Some(Millis(1_001)), Some(Millis(5_000))])];
    (person(), pattern(), app(), until).prop_map(|(user, scope, app, until)| Sanction {
        user,
        scope,
        app,
        until,
        reason: None,
        origin: EntryOrigin::File { line: 1 },
    })
}

fn few<S: Strategy>(strategy: S, most: usize) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(strategy, 0..=most)
}

fn entries() -> impl Strategy<Value = PolicyEntries> {
    let conversation = (
        select(vec!["a", "a:x", "a:y", "b", "_tmp:x"]),
        app(),
        select(ConversationKind::ALL.to_vec()),
        few((person(), proptest::option::of(role())), 2),
    );
    let conversation = conversation.prop_map(|(id, app, kind, people)| ConversationEntry {
        id: id.to_owned(),
        app,
        kind,
        members: people,
        line: 1,
    });
    let binding = (person(), pattern(), app(), proptest::option::weighted(0.9, role()));
    let binding = binding.prop_map(|(user, scope, app, role)| BindingEntry { user, scope, app, role, line: 1 });
    let block = (person(), pattern(), app()).prop_map(|(user, conversation, app)| Block {
        user,
        conversation,
        app,
        origin: EntryOrigin::File { line: 1 },
    });
    (few(conversation, 3), few(binding, 5), few(sanction(), 2), few(sanction(), 2), few(block, 3)).prop_map(
        |(mut conversations, bindings, bans, mutes, blocks)| {
            // One conversation stands in the file once.
            let mut seen = BTreeSet::new();
            conversations.retain(|one| seen.insert(one.id.clone()));
            PolicyEntries { conversations, bindings, bans, mutes, blocks }
        },
    )
}

fn moderation() -> impl Strategy<Value = Runtime> {
    let word = prop_oneof![
        3 => select(vec!["guest", "mod", "owner"]).prop_map(|word| RoleGrant::RoleName(word.into())),
        1 => Just(RoleGrant::RoleName("wizard".into())),
        3 => Just(RoleGrant::Removed),
    ];
    let role_binding = (person(), pattern(), app(), word).prop_map(|(user, scope, app, held)| {
        (user, RoleBinding { scope, app, grant: held, listed: false, origin: at_run_time() })
    });
    (entries(), few(role_binding, 4)).prop_map(|(mut entries, roles)| {
        entries.bindings.clear();
        for sanction in entries.bans.iter_mut().chain(&mut entries.mutes) {
            sanction.origin = at_run_time();
        }
        Runtime { entries, roles }
    })
}

fn at_run_time() -> EntryOrigin {
    let author = EntryAuthor { kind: CallerKind::User, subject: "ann".to_owned(), role: None };
    EntryOrigin::Runtime { author: Arc::new(author), at: NOW }
}

fn document() -> impl Strategy<Value = PolicyDocument> {
    let rules = proptest::collection::vec(rule(), 0..7);
    (rules, entries(), maybe(role())).prop_map(|(mut rules, entries, default_role)| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("r{}", (index * 7 + 3) % 11);
        }
        let role_hierarchy = RoleHierarchy::new(["guest", "mod", "owner"].map(str::to_owned));
        PolicyDocument { role_hierarchy, default_role, rules, entries, hash: String::new() }
    })
}

fn caller() -> impl Strategy<Value = Caller> {
    let kind = prop_oneof![3 => Just(CallerKind::User), 1 => Just(CallerKind::Service)];
    let tenants = vec![json!("x"), json!("x"), json!("a:x"), json!(""), json!("[x"), json!(7)];
    let tenant = proptest::option::weighted(0.8, select(tenants));
    let claims = tenant.prop_map(|tenant| Map::from_iter(tenant.map(|value| ("tenant".to_owned(), value))));
    (kind, person(), select(vec!["idp", "other"]), claims, few((pattern(), role()), 2)).prop_map(
        |(kind, subject, authenticator, claims, bindings)| Caller {
            kind,
            subject,
            authenticator: authenticator.into(),
            claims,
            bindings,
        },
    )
}

fn ask(caller: &Caller) -> impl Strategy<Value = SigningRequest> + use<> {
    let own = caller.subject.clone();
    let client = prop_oneof![6 => Just(own), 2 => person(), 1 => Just("*".to_owned())];
    let place = || prop_oneof![1 => Just(None), 4 => pattern().prop_map(Some)];
    let action = select(vec![
        Action::Login,
        Action::Create,
        Action::Join,
        Action::Invite,
        Action::Invite,
        Action::Kick,
        Action::UnblockClients,
        Action::AppToken,
        Action::History,
        Action::Ban,
        Action::SetRole,
    ]);
    let exact = |place: Option<Pattern>| place.filter(|place| place.exact().is_some());
    let need = (action, place(), few(person(), 3)).prop_map(move |(action, place, mut targets)| {
        if action.is_moderation() {
            // Each user is decided about by itself, perhaps in many conversations at once.
            targets.truncate(1);
            return RequiredAction { action, conversation: place, targets };
        }
        let conversation =
            exact(place).filter(|_| !matches!(action, Action::Login | Action::Create | Action::AppToken));
        RequiredAction { action, conversation, targets }
    });
    let operations = subsequence(vec![Action::Publish, Action::Subscribe, Action::History, Action::Presence], 1..=4);
    let grant = (pattern(), operations)
        .prop_map(|(resource, operations)| RequestedGrant { resource, operations: operations.into_iter().collect() });
    (select(&APPS[..]), client, proptest::collection::vec(need, 1..3), few(grant, 2)).prop_map(
        |(app, client, needs, wants)| SigningRequest {
            app: app.into(),
            vendor: Vendor::Ably,
            action: needs[0].action,
            client,
            conversation: needs[0].conversation.clone(),
            members: needs[0].targets.clone(),
            required_actions: needs,
            requested_grants: wants,
            left_out: Vec::new(),
        },
    )
}

fn details() -> impl Strategy<Value = ConversationDetails> {
    let roles = few((person(), role()), 4);
    (maybe(select(ConversationKind::ALL.to_vec())), roles, few(person(), 1))
        .prop_map(|(kind, roles, shut_out)| ConversationDetails { kind, roles, blocked: shut_out })
}

fn told() -> impl Strategy<Value = Account> {
    let name = select(vec!["a", "a:x", "a:y", "b", "b:x", "[m]a"]).prop_map(str::to_owned);
    proptest::collection::btree_map(name, proptest::option::weighted(0.8, details()), 0..4)
}

/// What is known and what is asked.
#[derive(Clone, Debug)]
struct World {
    document: PolicyDocument,
    moderation: Runtime,
    caller: Caller,
    signing_request: SigningRequest,
    told: Account,
}

fn case() -> impl Strategy<Value = World> {
    caller().prop_flat_map(|caller| {
        let signing_request = ask(&caller);
        let moderation = prop_oneof![1 => Just(Runtime::default()), 2 => moderation()];
        let parts = (document(), moderation, Just(caller), signing_request, told());
        parts.prop_map(|(document, moderation, caller, signing_request, told)| World {
            document,
            moderation,
            caller,
            signing_request,
            told,
        })
    })
}

impl Runtime {
    fn register(&self) -> EntryIndex {
        let mut register = EntryIndex::new(&self.entries);
        for (user, role_binding) in &self.roles {
            register.add(&Arc::from(user.as_str()), UserEntry::Role(role_binding.clone()));
        }
        register
    }
}

impl World {
    fn decide(&self) -> Result<Permit, Denied> {
        let policy = Policy::new(self.document.clone());
        let told = self.told();
        let facts = DecisionData { file: policy.entries(), runtime: Some(&self.moderation.register()), facts: &told };
        policy.decide(self.signing_request.clone(), &self.caller, facts, NOW)
    }

    fn told(&self) -> Vec<ConversationFacts> {
        let told = self.told.iter().map(|(name, details)| match details {
            Some(details) => ConversationFacts::existing(name, details.clone()),
            None => ConversationFacts::missing(name),
        });
        told.collect()
    }

    fn oracle(&self) -> Oracle<'_> {
        Oracle {
            document: &self.document,
            moderation: &self.moderation,
            caller: &self.caller,
            signing_request: &self.signing_request,
            told: &self.told,
        }
    }

    /// Whether anything is asked about a pattern.
    fn has_patterns(&self) -> bool {
        let needs = self.signing_request.required_actions.iter().filter_map(|need| need.conversation.as_ref());
        let mut places = needs.chain(self.signing_request.requested_grants.iter().map(|want| &want.resource));
        places.any(|place| place.exact().is_none())
    }

    /// With another file.
    fn with(&self, document: PolicyDocument) -> World {
        World { document, ..self.clone() }
    }
}

fn answer(world: &World) -> Answer {
    match world.decide() {
        Ok(permit) => {
            assert_eq!(permit.request(), &world.signing_request);
            let granted = permit.granted().iter();
            Answer::Allowed {
                rules: permit.rules().iter().map(ToString::to_string).collect(),
                granted: granted
                    .map(|grant| (grant.resource.to_string(), grant.operations.iter().map(Action::as_str).collect()))
                    .collect(),
            }
        }
        Err(refusal) => match refusal.denial.reason {
            DenyReason::Banned { user, scope, .. } => Answer::Banned(user, scope.to_string()),
            DenyReason::TargetBanned { user, scope, .. } => Answer::TargetBanned(user, scope.to_string()),
            DenyReason::Muted { user, scope, .. } => Answer::Muted(user, scope.to_string()),
            DenyReason::TargetBlocksConversation { user } => Answer::TargetBlocks(user),
            DenyReason::BlockedByConversation { user } => Answer::ShutOut(user),
            DenyReason::TargetBlockedByConversation { user } => Answer::TargetShutOut(user),
            DenyReason::UnknownConversation => Answer::UnknownConversation,
            DenyReason::Rule { id, .. } => Answer::DeniedBy(id),
            DenyReason::NoRuleMatched { .. } => Answer::NothingMatched,
        },
    }
}

/// The pairs of a resource and an operation that are granted although they were not asked for in this form: parts of a pattern that isn't
/// granted as a whole.
fn narrower(world: &World, found: &Answer) -> BTreeSet<(String, Action)> {
    let Answer::Allowed { granted, .. } = found else { return BTreeSet::new() };
    let pairs = granted.iter().flat_map(|(resource, operations)| {
        operations.iter().map(|word| (resource.clone(), Action::parse(word).unwrap()))
    });
    let wants = &world.signing_request.requested_grants;
    let is_asked = |(resource, operation): &(String, Action)| {
        wants.iter().any(|want| want.resource.to_string() == *resource && want.operations.contains(*operation))
    };
    pairs.filter(|pair| !is_asked(pair)).collect()
}

/// The rules by which the oracle allows a part of a pattern, as if it had been asked for by itself.
fn rules_for_part(world: &World, resource: &str, operation: Action) -> Result<Vec<String>, Answer> {
    let mut place = Pattern::parse(resource).unwrap();
    let is_known = |name: &String| literally(&place, name) && !name.starts_with('[');
    if place.exact().is_none() && !WORLD.iter().any(is_known) {
        // The channels of a room that the world doesn't know are all alike.
        place = Pattern::Exact(format!("{}s", place.prefix()));
    }
    world.oracle().decide_one(&Asked { action: operation, place: Some(&place), targets: &[] })
}

/// Whether every name in the one is in the other, as Ably reads them.
fn is_within(inner: &str, outer: &str) -> bool {
    match outer.strip_suffix('*') {
        Some(prefix) => inner.starts_with(prefix) && !inner.starts_with('['),
        None => inner == outer,
    }
}

/// Whether a pattern was asked for in which this pair lies.
fn lies_in_what_is_asked(world: &World, (resource, operation): &(String, Action)) -> bool {
    world
        .signing_request
        .requested_grants
        .iter()
        .any(|want| want.operations.contains(*operation) && is_within(resource, &want.resource.to_string()))
}

/// What an answer lets one do: for an ask without wants, all or nothing.
fn allowed(answer: &Answer) -> Vec<(String, &'static str)> {
    match answer {
        Answer::Allowed { granted, .. } => {
            let pairs =
                granted.iter().flat_map(|(resource, operations)| operations.iter().map(|one| (resource.clone(), *one)));
            pairs.chain([(String::new(), "")]).collect()
        }
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_the_oracle_does(world in case()) {
        let (found, expected) = (answer(&world), world.oracle().decide());
        let narrower = narrower(&world, &found);
        let mut for_parts = Vec::new();
        for (resource, operation) in &narrower {
            let rules = rules_for_part(&world, resource, *operation);
            prop_assert!(rules.is_ok(), "{} in {}, asked for alone, gets {:?}", operation, resource, rules);
            for_parts.extend(rules.unwrap());
        }
        let pairs = |granted: &[(String, Vec<&'static str>)]| -> BTreeSet<(String, Action)> {
            let pairs = granted.iter().flat_map(|(resource, words)| words.iter().map(|word| (resource.clone(), Action::parse(word).unwrap())));
            pairs.collect()
        };
        match (found, expected) {
            // Of the rules that allow one name or another of a pattern, as many are told as are needed.
            (Answer::Allowed { rules, granted }, Answer::Allowed { rules: all, granted: expected }) => {
                prop_assert_eq!(&pairs(&granted) - &narrower, pairs(&expected));
                prop_assert!(rules.iter().all(|rule| all.contains(rule) || for_parts.contains(rule)), "{:?} of {:?}", rules, all);
                prop_assert!(world.has_patterns() || rules == all, "{:?}, not {:?}", rules, all);
            }
            // No pattern is granted as a whole, but parts of them are.
            (Answer::Allowed { granted, .. }, _) if !narrower.is_empty() => {
                prop_assert_eq!(pairs(&granted), narrower);
                let mut alone = world.clone();
                alone.signing_request.requested_grants.clear();
                prop_assert!(matches!(alone.oracle().decide(), Answer::Allowed { .. }), "{:?}", alone);
            }
            (found, expected) => prop_assert_eq!(found, expected),
        }
    }

    #[test]
    fn a_pattern_is_narrowed_to_what_the_policy_grants_in_it(world in case()) {
        let found = answer(&world);
        for pair in narrower(&world, &found) {
            prop_assert!(lies_in_what_is_asked(&world, &pair), "{:?} was not asked for", pair);
        }
        let Answer::Allowed { granted, .. } = &found else { return Ok(()) };
        let is_granted = |resource: &str, operation: Action| granted.iter().any(|(wide, words)| {
            words.contains(&operation.as_str()) && is_within(resource, wide)
        });
        let oracle = world.oracle();
        let named = world.document.rules.iter().filter(|rule| rule.effect == Effect::Allow);
        let named = named.flat_map(|rule| rule.conversations.iter().flatten().map(move |template| (rule, template)));
        for (rule, template) in named {
            let is_for_app = rule.apps.as_ref().is_none_or(|apps| apps.contains(&world.signing_request.app.to_string()));
            for reading in oracle.readings(template, true).into_iter().filter(|_| is_for_app) {
                for operation in rule.actions.iter().filter(|operation| operation.is_channel_operation()) {
                    let pair = (reading.to_string(), operation);
                    // Ably reads such a prefix as the name of one channel, so no capability gets it.
                    if reading.is_literal_at_ably() {
                        prop_assert!(!narrower(&world, &found).contains(&pair), "{:?} is granted", pair);
                        continue;
                    }
                    if lies_in_what_is_asked(&world, &pair) && rules_for_part(&world, &pair.0, operation).is_ok() {
                        prop_assert!(is_granted(&pair.0, operation), "{:?} is not granted: {:?}", pair, granted);
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_in_the_file_never_matters(world in case(), turn in 0..7_usize) {
        let mut turned = world.document.clone();
        let by = |len: usize| if len == 0 { 0 } else { turn % len };
        turned.rules.reverse();
        let middle = by(turned.rules.len());
        turned.rules.rotate_left(middle);
        turned.entries.bindings.reverse();
        turned.entries.bans.reverse();
        turned.entries.mutes.reverse();
        turned.entries.conversations.reverse();
        prop_assert_eq!(answer(&world.with(turned)), answer(&world));
    }

    #[test]
    fn another_ban_mute_or_deny_rule_never_allows_more(
        world in case(), ban in sanction(), mute in sanction(), mut deny in rule(), which in 0..3_u8,
    ) {
        let mut stricter = world.document.clone();
        match which {
            0 => stricter.entries.bans.push(ban),
            1 => stricter.entries.mutes.push(mute),
            _ => {
                deny.effect = Effect::Deny;
                deny.id = "added".to_owned();
                stricter.rules.push(deny);
            }
        }
        let before = allowed(&answer(&world));
        for (resource, operation) in allowed(&answer(&world.with(stricter))) {
            // A pattern that is not granted as a whole any more is narrowed.
            let was = before.iter().any(|(wide, known)| *known == operation && is_within(&resource, wide));
            prop_assert!(was, "{} in {} is allowed only with the addition", operation, resource);
        }
    }

    #[test]
    fn a_deny_rule_beats_every_allow_rule(world in case()) {
        let mut stricter = world.document.clone();
        stricter.rules.push(Rule::new("no", Effect::Deny, Action::ALL.iter().copied().collect()));
        prop_assert_eq!(allowed(&answer(&world.with(stricter))), vec![]);
    }

    #[test]
    fn what_is_not_asked_about_makes_no_difference(
        mut world in case(), all in proptest::collection::vec(details(), 6), bearing in bearing(),
    ) {
        // Of a pattern nothing is asked, and a qualified name has a say in what is told of the name behind the qualifier.
        let is_asked = |place: &Pattern| home(place).exact().is_some_and(|name| !name.starts_with('['));
        world.signing_request.requested_grants.retain(|want| is_asked(&want.resource));
        world.signing_request.required_actions.retain(|need| need.conversation.as_ref().is_none_or(is_asked));
        let names = asked_about(&world.signing_request).into_iter().filter(|name| !name.starts_with('['));
        world.told = names.zip(all.into_iter().map(Some)).collect();
        let policy = Policy::new(world.document.clone());
        let moderation = world.moderation.register();
        let facts = DecisionData { file: policy.entries(), runtime: Some(&moderation), facts: &[] };
        let open = policy.unanswered(&world.signing_request, &world.caller, facts, NOW, bearing);
        for details in world.told.values_mut().flatten().filter(|_| !bearing.shuts_out) {
            details.blocked.clear();
        }
        let mut less = world.clone();
        less.told.retain(|name, _| open.contains(name));
        prop_assert_eq!(allowed(&answer(&less)), allowed(&answer(&world)), "asked only about {:?}", open);
        if let (Ok(less), Ok(all), true) = (less.decide(), world.decide(), bearing.user_claims) {
            prop_assert_eq!(less.user_claims(), all.user_claims());
        }
    }
}

fn bearing() -> impl Strategy<Value = FactsRelevance> {
    (any::<bool>(), any::<bool>()).prop_map(|(shuts_out, user_claims)| FactsRelevance { shuts_out, user_claims })
}

/// Every conversation that an ask is about.
fn asked_about(signing_request: &SigningRequest) -> BTreeSet<String> {
    let needs = signing_request.required_actions.iter().filter_map(|need| need.conversation.as_ref());
    let places = needs.chain(signing_request.requested_grants.iter().map(|want| &want.resource));
    places.filter_map(|place| home(place).exact().map(str::to_owned)).collect()
}

#[test]
fn the_cases_are_not_all_alike() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..12_000 {
        let world = case().new_tree(&mut runner).unwrap().current();
        let name = match answer(&world) {
            Answer::Allowed { granted, .. } if granted.is_empty() => "allowed",
            Answer::Allowed { .. } => "granted",
            Answer::Banned(..) => "banned",
            Answer::TargetBanned(..) => "target banned",
            Answer::Muted(..) => "muted",
            Answer::TargetBlocks(_) => "target blocks",
            Answer::ShutOut(_) => "shut out",
            Answer::TargetShutOut(_) => "target shut out",
            Answer::UnknownConversation => "unknown conversation",
            Answer::DeniedBy(_) => "denied",
            Answer::NothingMatched => "nothing matched",
        };
        *seen.entry(name).or_default() += 1;
    }
    assert_eq!(seen.len(), 11, "{seen:?}");
    assert!(seen["allowed"] + seen["granted"] > 100, "{seen:?}");
}

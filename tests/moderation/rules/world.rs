//! A policy, a moderation and what is told: the world that moderators change, step by step.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat_signer::authn::Endpoint;
use chat_signer::config::load;
use chat_signer::engine::{Engine, FactsProtocol, FactsProvider};
use chat_signer::model::{
    Action, Caller, CallerKind, ConversationKind, Millis, Pattern, RequiredAction, Role, SigningRequest,
};
use chat_signer::moderation::{
    self, CommandAuthorizer, CommandKind, CommandOutcome, ModerationCommand, ModerationEntry, ModerationIndex,
    SanctionTerms,
};
use chat_signer::policy::{
    BindingEntry, Block, ConversationEntry, ConversationFacts, DecisionData, Denial, EntryAuthor, EntryOrigin, Permit,
    Policy, PolicyDocument, Rule, Sanction,
};
use chat_signer::vendor::App;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, json};

pub(crate) const NOW: Millis = Millis(1_798_732_800_000);
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const APPS: [&str; 3] = ["leancloud", "talkjs", "ably"];

/// The shipped rules, nobody known by the file, and an empty moderation.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) index: ModerationIndex,
    /// Who is what in which conversation, by the word of another service.
    people: HashMap<String, Vec<(String, Role)>>,
    pub(crate) now: Millis,
}

/// Who asks, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) caller: Caller,
    pub(crate) client: String,
}

/// A user's device, which acts as itself.
pub(crate) fn user(name: &str) -> Actor {
    let caller = Caller {
        kind: CallerKind::User,
        subject: name.to_owned(),
        authenticator: "demo".into(),
        claims: Map::new(),
        bindings: Vec::new(),
    };
    Actor { caller, client: name.to_owned() }
}

/// A backend, which acts as itself.
pub(crate) fn service(id: &str) -> Actor {
    let caller = Caller { kind: CallerKind::Service, authenticator: "backend".into(), ..user(id).caller };
    Actor { caller, client: String::new() }
}

impl Actor {
    /// The same caller for another client.
    pub(crate) fn acting_as(self, client: &str) -> Actor {
        Actor { client: client.to_owned(), ..self }
    }

    /// With these roles in its token.
    pub(crate) fn with_token(mut self, bindings: &[(&str, Role)]) -> Actor {
        self.caller.bindings = bindings.iter().map(|(scope, role)| (at(scope), *role)).collect();
        self
    }
}

/// A pattern.
pub(crate) fn at(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

/// For good, without a reason.
pub(crate) fn ban() -> CommandKind {
    CommandKind::Ban(SanctionTerms::default())
}

pub(crate) fn mute() -> CommandKind {
    CommandKind::Mute(SanctionTerms::default())
}

pub(crate) fn ban_until(hours: u64) -> CommandKind {
    CommandKind::Ban(SanctionTerms { until: Some(Millis(NOW.0 + hours * HOUR)), reason: None })
}

pub(crate) fn set_role(word: &str) -> CommandKind {
    CommandKind::SetRole(word.to_owned())
}

pub(crate) fn remove_role(word: &str) -> CommandKind {
    CommandKind::RemoveRole(word.to_owned())
}

/// What came of a wish about one user: `ok`, or why not, and the sentence.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: String,
    pub(crate) sentence: String,
    /// How many entries were set, and how many went.
    pub(crate) changes: (usize, usize),
}

impl World {
    pub(crate) fn new() -> World {
        let mut engine = load(Path::new("signer.toml")).settings.unwrap().engine;
        let shipped = engine.policy.document().clone();
        engine.policy =
            Arc::new(Policy::new(PolicyDocument { entries: chat_signer::policy::PolicyEntries::default(), ..shipped }));
        World { engine, index: ModerationIndex::default(), people: HashMap::new(), now: NOW }
    }

    pub(crate) fn role(&self, word: &str) -> Role {
        self.engine.policy.document().role_hierarchy.find(word).unwrap()
    }

    /// Changes the policy file, as a reload does.
    pub(crate) fn reload(&mut self, change: impl FnOnce(&mut PolicyDocument)) {
        let mut document = self.engine.policy.document().clone();
        change(&mut document);
        self.engine.policy = Arc::new(Policy::new(document));
    }

    /// The policy file binds a user, in line 7.
    pub(crate) fn filed(&mut self, user: &str, scope: &str, word: &str) {
        let role = self.engine.policy.document().role_hierarchy.find(word);
        let binding = BindingEntry { user: user.to_owned(), scope: at(scope), app: None, role, line: 7 };
        self.reload(|document| document.entries.bindings.push(binding));
    }

    /// The policy file knows a conversation, in line 9.
    pub(crate) fn filed_conversation(&mut self, id: &str, kind: ConversationKind, people: &[(&str, &str)]) {
        let role_hierarchy = &self.engine.policy.document().role_hierarchy;
        let people = people.iter().map(|(user, word)| ((*user).to_owned(), role_hierarchy.find(word))).collect();
        let conversation = ConversationEntry { id: id.to_owned(), app: None, kind, members: people, line: 9 };
        self.reload(|document| document.entries.conversations.push(conversation));
    }

    pub(crate) fn rule(&mut self, rule: Rule) {
        self.reload(|document| document.rules.push(rule));
    }

    /// The moderation entries holds this, by a service's word.
    pub(crate) fn keep(&mut self, record: &ModerationEntry) {
        self.index.apply(&record.key().to_string(), Some(&record.value())).unwrap();
    }

    /// The moderation entries gives a user a role.
    pub(crate) fn bind(&mut self, user: &str, scope: &str, word: &str) {
        self.bind_at(user, scope, word, None);
    }

    pub(crate) fn bind_at(&mut self, user: &str, scope: &str, word: &str, app: Option<&str>) {
        self.keep(&role(user, scope, word, app));
    }

    /// The moderation entries knows a conversation.
    pub(crate) fn known(&mut self, id: &str, kind: ConversationKind, owner: Option<&str>) {
        let owner = owner.map(str::to_owned);
        let (id, app, forgotten, origin) = (id.to_owned(), None, false, origin());
        self.keep(&ModerationEntry::Conversation(moderation::RegisteredConversation {
            id,
            app,
            kind,
            owner,
            forgotten,
            origin,
        }));
    }

    /// What another service tells of a conversation, at every app.
    pub(crate) fn tell(&mut self, conversation: &str, people: &[(&str, &str)]) {
        let people = people.iter().map(|(user, word)| ((*user).to_owned(), self.role(word))).collect();
        self.people.insert(conversation.to_owned(), people);
        self.engine.facts = Some(Arc::new(source(&self.engine)));
    }

    /// What the other service answers before this is decided: only what it is asked, and only of whom it is asked about.
    pub(crate) fn told(&self, signing_request: &SigningRequest, caller: &Caller) -> Vec<ConversationFacts> {
        let role_hierarchy = &self.engine.policy.document().role_hierarchy;
        let inquiries = self.engine.facts_queries(signing_request, caller, self.index.entries(), self.now);
        let answers = inquiries.iter().filter_map(|inquiry| {
            let people = self.people.get(inquiry.conversation())?;
            let roles: HashMap<_, _> = people.iter().map(|(user, role)| (user, role_hierarchy.name(*role))).collect();
            let body = json!({ "roles": roles }).to_string();
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            inquiry.begin().read(StatusCode::OK, &headers, body.as_bytes()).unwrap()
        });
        answers.collect()
    }

    pub(crate) fn wish(
        actor: &Actor,
        deed: CommandKind,
        users: &[&str],
        scope: &str,
        app: Option<&str>,
    ) -> ModerationCommand {
        ModerationCommand {
            kind: deed,
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            scope: at(scope),
            app: app.map(Arc::from),
            client: actor.client.clone(),
            own_only: false,
        }
    }

    /// What would come of a wish.
    pub(crate) fn ruling(&self, actor: &Actor, command: &ModerationCommand) -> CommandOutcome {
        let told = |app: &App| (Arc::clone(app.name()), self.told(&command.policy_request(app), &actor.caller));
        let told = command.apps(&self.engine).map(told).collect();
        let authorizer = CommandAuthorizer { engine: &self.engine, caller: &actor.caller, facts: &told, now: self.now };
        authorizer.authorize(&self.index, command)
    }

    /// Carries a wish out, through the form in which entries are kept.
    pub(crate) fn carry_out(&mut self, actor: &Actor, command: &ModerationCommand) -> CommandOutcome {
        let ruling = self.ruling(actor, command);
        for record in &ruling.set {
            self.index.apply(&record.key().to_string(), Some(&record.value())).unwrap();
        }
        for record in &ruling.deleted {
            self.index.apply(&record.key().to_string(), None).unwrap();
        }
        ruling
    }

    /// Does something to one user, in all apps.
    pub(crate) fn act(&mut self, actor: &Actor, deed: CommandKind, target: &str, scope: &str) -> Outcome {
        self.act_at(actor, deed, target, scope, None)
    }

    pub(crate) fn act_at(
        &mut self,
        actor: &Actor,
        deed: CommandKind,
        target: &str,
        scope: &str,
        app: Option<&str>,
    ) -> Outcome {
        let ruling = self.carry_out(actor, &World::wish(actor, deed, &[target], scope, app));
        outcome(&ruling)
    }

    /// As [`act`](World::act), and it is done.
    #[track_caller]
    pub(crate) fn done(&mut self, actor: &Actor, deed: CommandKind, target: &str, scope: &str) {
        let outcome = self.act(actor, deed, target, scope);
        assert_eq!(outcome.code, "ok", "{outcome:?}");
    }

    /// As [`act`](World::act), and it isn't done, for this reason: nothing changes.
    #[track_caller]
    pub(crate) fn refused(
        &mut self,
        actor: &Actor,
        deed: CommandKind,
        target: &str,
        scope: &str,
        code: &str,
    ) -> String {
        let outcome = self.act(actor, deed, target, scope);
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert_eq!(outcome.changes, (0, 0), "{outcome:?}");
        outcome.sentence
    }

    /// What the policy says of one action in a place.
    pub(crate) fn decide(
        &self,
        actor: &Actor,
        app: &str,
        action: Action,
        place: &str,
        targets: &[&str],
    ) -> Result<Permit, Box<Denial>> {
        let app = self.engine.app(app).unwrap();
        let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
        let conversation = Some(at(place));
        let need = RequiredAction { action, conversation: conversation.clone(), targets: targets.clone() };
        let signing_request = SigningRequest {
            app: Arc::clone(app.name()),
            vendor: app.vendor(),
            action,
            client: actor.client.clone(),
            conversation,
            members: targets,
            required_actions: vec![need],
            requested_grants: Vec::new(),
            left_out: Vec::new(),
        };
        let told = self.told(&signing_request, &actor.caller);
        let facts =
            DecisionData { file: self.engine.policy.entries(), runtime: Some(self.index.entries()), facts: &told };
        self.engine.policy.decide(signing_request, &actor.caller, facts, self.now).map_err(|refusal| refusal.denial)
    }

    /// Whether a user may send in a channel of Ably's, as the shipped rules have it.
    pub(crate) fn may_send(&self, name: &str, channel: &str) -> bool {
        self.decide(&user(name), "ably", Action::Publish, channel, &[]).is_ok()
    }

    /// Whether a user may read in a channel of Ably's.
    pub(crate) fn may_read(&self, name: &str, channel: &str) -> bool {
        self.decide(&user(name), "ably", Action::Subscribe, channel, &[]).is_ok()
    }
}

/// A service that knows conversations. Nothing is sent to it: [`World::told`] answers in its place.
fn source(engine: &Engine) -> FactsProvider {
    let url = "https://app.example.com/chat-facts".parse().unwrap();
    FactsProvider {
        endpoint: Endpoint::new(url),
        protocol: FactsProtocol::Http,
        apps: None,
        hierarchy: engine.policy.document().role_hierarchy.clone(),
        ttl: Duration::ZERO,
    }
}

pub(crate) fn outcome(ruling: &CommandOutcome) -> Outcome {
    let changes = (ruling.set.len(), ruling.deleted.len());
    let failed = ruling.failed.first().map(|failed| (failed.reason.code().to_owned(), failed.reason.public_message()));
    let (code, sentence) = failed.unwrap_or_else(|| ("ok".to_owned(), String::new()));
    Outcome { code, sentence, changes }
}

/// By a service's word, an hour ago.
pub(crate) fn origin() -> EntryOrigin {
    by(CallerKind::Service, "orders", None)
}

pub(crate) fn by(kind: CallerKind, subject: &str, role: Option<&str>) -> EntryOrigin {
    let author = EntryAuthor { kind, subject: subject.to_owned(), role: role.map(str::to_owned) };
    EntryOrigin::Runtime { author: Arc::new(author), at: Millis(NOW.0 - HOUR) }
}

pub(crate) fn sanction(user: &str, scope: &str, origin: EntryOrigin) -> Sanction {
    Sanction { user: user.to_owned(), scope: at(scope), app: None, until: None, reason: None, origin }
}

/// A role for all apps, by a service's word.
pub(crate) fn role_in(scope: &str, user: &str, word: &str) -> ModerationEntry {
    role(user, scope, word, None)
}

fn role(user: &str, scope: &str, word: &str, app: Option<&str>) -> ModerationEntry {
    let (user, role) = (user.to_owned(), Some(word.into()));
    let app = app.map(Arc::from);
    ModerationEntry::Role(moderation::RoleAssignment { user, scope: at(scope), app, role, origin: origin() })
}

pub(crate) fn block(user: &str, scope: &str, origin: EntryOrigin) -> Block {
    Block { user: user.to_owned(), conversation: at(scope), app: None, origin }
}

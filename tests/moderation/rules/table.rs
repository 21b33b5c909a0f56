//! Every pair of roles: what the shipped policy and the rules for moderators make of each deed, against the LeanCloud guide's table.
//!
//! The guide: owner and manager mute, remove and block members and change roles, of whom they outrank; members do nothing of the
//! sort. An administrator here stands between the two. Beyond the guide: moderators of a conversation act on its people alone, a role
//! given is weaker than the giver's, an owner is set once, everyone blocks for itself, nobody but services manages conversations.

use std::fmt::Write as _;

use chat_signer::model::{CallerKind, ConversationKind};
use chat_signer::moderation::{CommandKind, ModerationEntry, read_request};
use chat_signer::policy::DecisionData;

use crate::rules::world::{
    APPS, Actor, World, at, ban, by, mute, outcome, remove_role, sanction, service, set_role, user,
};

/// Weakest first; nobody has no role anywhere, so it is a guest without a place.
const ROLES: [&str; 6] = ["guest", "member", "moderator", "manager", "administrator", "owner"];

/// By whose word somebody has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    File,
    Runtime,
    Facts,
    Token,
    /// By the moderation entries, for everywhere there is.
    Everywhere,
}

/// A place of each kind, and everywhere.
const PLACES: [(&str, ConversationKind); 5] = [
    ("group", ConversationKind::Group),
    ("open-room", ConversationKind::Chatroom),
    ("_tmp:small", ConversationKind::Temporary),
    ("announcements", ConversationKind::System),
    ("*", ConversationKind::Group),
];

/// How the world is for one table.
#[derive(Clone, Copy, Debug)]
struct Setting {
    actors: Source,
    targets: Source,
    place: &'static str,
    kind: ConversationKind,
}

fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    for actors in [Source::File, Source::Runtime, Source::Facts, Source::Token, Source::Everywhere] {
        for targets in [Source::Runtime, Source::Facts] {
            for (place, kind) in PLACES {
                // Of a pattern nothing is told.
                let told = actors == Source::Facts || targets == Source::Facts;
                if place != "*" || !told {
                    settings.push(Setting { actors, targets, place, kind });
                }
            }
        }
    }
    settings
}

/// What is done, in the tables' order.
fn deeds() -> Vec<(String, CommandKind)> {
    let mut deeds = vec![
        ("ban".to_owned(), ban()),
        ("unban".to_owned(), CommandKind::LiftBan),
        ("mute".to_owned(), mute()),
        ("unmute".to_owned(), CommandKind::LiftMute),
    ];
    deeds.extend(ROLES.iter().map(|word| (format!("set-role {word}"), set_role(word))));
    deeds
}

fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap()
}

/// Somebody of this role; a stranger has none.
fn name(part: &str, role: Option<&str>) -> String {
    format!("{part}-{}", role.unwrap_or("stranger"))
}

fn all_roles() -> impl Iterator<Item = Option<&'static str>> {
    std::iter::once(None).chain(ROLES.iter().copied().map(Some))
}

/// A world with an actor and a target of each role.
fn world(setting: Setting) -> World {
    let mut world = World::new();
    if setting.place != "*" {
        world.known(setting.place, setting.kind, None);
    }
    let mut told = Vec::new();
    for (part, source) in [("actor", setting.actors), ("target", setting.targets)] {
        for role in ROLES {
            let name = name(part, Some(role));
            match source {
                Source::File => world.filed(&name, setting.place, role),
                Source::Runtime => world.bind(&name, setting.place, role),
                Source::Everywhere => world.bind(&name, "*", role),
                Source::Facts => told.push((name, role)),
                Source::Token => {}
            }
        }
    }
    if setting.actors == Source::Facts || setting.targets == Source::Facts {
        let told: Vec<(&str, &str)> = told.iter().map(|(name, role)| (name.as_str(), *role)).collect();
        world.tell(setting.place, &told);
    }
    world
}

fn actor(world: &World, setting: Setting, role: Option<&str>) -> Actor {
    let actor = user(&name("actor", role));
    match role {
        Some(role) if setting.actors == Source::Token => actor.with_token(&[("*", world.role(role))]),
        _ => actor,
    }
}

/// What should come of it, written from the guide's table and the rules for moderators, and from nothing else.
fn expected(setting: Setting, actor: Option<&str>, target: Option<&str>, deed: &CommandKind) -> &'static str {
    // What a token says gives nobody power over others, and facts don't speak of everywhere.
    let Some(actor) = actor.filter(|_| setting.actors != Source::Token) else { return "denied" };
    if !matches!(actor, "manager" | "administrator" | "owner") {
        return "denied";
    }
    if target.is_some_and(|target| rank(target) >= rank(actor)) {
        return "denied";
    }
    let everywhere = setting.actors == Source::Everywhere || setting.place == "*";
    let lifts = matches!(deed, CommandKind::LiftBan | CommandKind::LiftMute);
    if target.is_none() && !everywhere && !lifts {
        return "not_there";
    }
    match deed {
        CommandKind::SetRole(word) if rank(word) >= rank(actor) => "not_outranked",
        _ => "ok",
    }
}

fn letter(code: &str) -> &'static str {
    match code {
        "ok" => "✓",
        "denied" => "·",
        "not_there" => "t",
        "not_outranked" => "r",
        "conflict" => "c",
        _ => "?",
    }
}

/// A table with a row for each actor and a column for each target; cells that aren't as expected show both.
fn table(title: &str, cell: impl Fn(Option<&str>, Option<&str>) -> (String, String)) -> (String, usize) {
    let short = |role: Option<&str>| role.unwrap_or("stranger").chars().take(5).collect::<String>();
    let mut text = format!("{title}\n{:>15} ", "who \\ whom");
    all_roles().for_each(|target| write!(text, "{:<7}", short(target)).unwrap());
    let mut wrong = 0;
    for actor in all_roles() {
        write!(text, "\n{:>15} ", actor.unwrap_or("stranger")).unwrap();
        for target in all_roles() {
            let (is, should) = cell(actor, target);
            let shown = if is == should { letter(&is).to_owned() } else { format!("{is}≠{should}") };
            wrong += usize::from(is != should);
            write!(text, "{shown:<7}").unwrap();
        }
    }
    (text + "\n", wrong)
}

#[test]
fn every_pair_of_roles_is_as_the_guides_table_has_it() {
    let mut failures = String::new();
    for setting in settings() {
        let world = world(setting);
        for (what, deed) in deeds() {
            let title =
                format!("{what} in {} (who by {:?}, whom by {:?})", setting.place, setting.actors, setting.targets);
            let (text, wrong) = table(&title, |role, target| {
                let actor = actor(&world, setting, role);
                let command = World::wish(&actor, deed.clone(), &[&name("target", target)], setting.place, None);
                (outcome(&world.ruling(&actor, &command)).code, expected(setting, role, target, &deed).to_owned())
            });
            if wrong > 0 {
                failures += &text;
            }
            if setting.actors == Source::File && setting.targets == Source::Runtime && setting.place == "group" {
                println!("{text}");
            }
        }
    }
    assert!(failures.is_empty(), "✓ done, · denied, t not there, r not outranked, c conflict\n{failures}");
}

#[test]
fn who_takes_a_role_outranks_who_has_it() {
    let mut failures = String::new();
    for setting in settings() {
        let world = world(setting);
        let title =
            format!("remove-role in {} (who by {:?}, whom by {:?})", setting.place, setting.actors, setting.targets);
        let (text, wrong) = table(&title, |role, target| {
            let actor = actor(&world, setting, role);
            let deed = remove_role(target.unwrap_or("member"));
            let command = World::wish(&actor, deed.clone(), &[&name("target", target)], setting.place, None);
            let should = expected(setting, role, target, &deed);
            (outcome(&world.ruling(&actor, &command)).code, should.to_owned())
        });
        if wrong > 0 {
            failures += &text;
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn nobody_moderates_itself() {
    for setting in settings().into_iter().filter(|setting| setting.targets == Source::Runtime) {
        let world = world(setting);
        for role in all_roles() {
            let actor = actor(&world, setting, role);
            for (what, deed) in deeds() {
                let command = World::wish(&actor, deed, &[&actor.client], setting.place, None);
                assert_eq!(outcome(&world.ruling(&actor, &command)).code, "denied", "{what} {role:?} {setting:?}");
            }
        }
    }
}

/// Who lifts whose ban, of a mere member in a group: rows are those who lift, columns the authors.
#[test]
fn who_lifts_a_ban_made_it_or_outranks_who_did() {
    for (lift, table_of) in [(CommandKind::LiftBan, true), (CommandKind::LiftMute, false)] {
        let setting = Setting {
            actors: Source::Runtime,
            targets: Source::Runtime,
            place: "group",
            kind: ConversationKind::Group,
        };
        let (text, wrong) = table("lifts whose", |role, author| {
            let mut world = world(setting);
            let origin = match author {
                Some(author) => by(CallerKind::User, &name("actor", Some(author)), Some(author)),
                None => by(CallerKind::User, "actor-stranger", None),
            };
            let made = sanction("target-member", "group", origin);
            world.keep(&if table_of { ModerationEntry::Ban(made) } else { ModerationEntry::Mute(made) });
            let actor = actor(&world, setting, role);
            let is = world.act(&actor, lift.clone(), "target-member", "group");
            let strong = role.is_some_and(|role| rank(role) >= rank("manager"));
            let over = role == author || role.map(rank) > author.map(rank);
            let should = if !strong {
                "denied"
            } else if over {
                "ok"
            } else {
                "not_outranked"
            };
            (is.code, should.to_owned())
        });
        println!("{text}");
        assert_eq!(wrong, 0, "{text}");
    }
}

#[test]
fn services_moderate_everyone_everywhere() {
    for setting in settings().into_iter().filter(|setting| setting.actors == Source::Runtime) {
        let world = world(setting);
        let backend = service("orders");
        for target in all_roles() {
            let target = name("target", target);
            for (what, deed) in deeds() {
                let command = World::wish(&backend, deed, &[&target], setting.place, None);
                let should = if what == "set-role owner" { "conflict" } else { "ok" };
                assert_eq!(outcome(&world.ruling(&backend, &command)).code, should, "{what} {target} {setting:?}");
            }
        }
    }
}

/// A service may act as any user, and may then do what that user may.
#[test]
fn who_acts_for_a_moderator_is_held_to_what_that_may() {
    for setting in settings().into_iter().filter(|setting| setting.actors == Source::Runtime) {
        let world = world(setting);
        for role in all_roles() {
            let acting = service("orders").acting_as(&name("actor", role));
            for target in all_roles() {
                let command =
                    World::wish(&acting, set_role("manager"), &[&name("target", target)], setting.place, None);
                let is = outcome(&world.ruling(&acting, &command)).code;
                let over = rank(role.unwrap_or("guest")) > rank(target.unwrap_or("guest"));
                let should = match role.unwrap_or("guest") {
                    _ if target.is_none() && (setting.place != "*" || role.is_none()) => "not_there",
                    "administrator" | "owner" if over => "ok",
                    _ => "not_outranked",
                };
                assert_eq!(is, should, "{role:?} {target:?} {setting:?}");
            }
        }
    }
}

#[test]
fn everyone_blocks_for_itself_alone() {
    for setting in settings().into_iter().filter(|setting| setting.targets == Source::Runtime) {
        let world = world(setting);
        for role in all_roles() {
            for deed in [CommandKind::Block, CommandKind::LiftBlock] {
                let actor = actor(&world, setting, role);
                let own = World::wish(&actor, deed.clone(), &[&actor.client], setting.place, None);
                assert_eq!(outcome(&world.ruling(&actor, &own)).code, "ok", "{role:?} {setting:?}");
                let other = World::wish(&actor, deed, &["target-guest"], setting.place, None);
                assert_ne!(outcome(&world.ruling(&actor, &other)).code, "ok", "{role:?} {setting:?}");
            }
        }
    }
}

#[test]
fn nobody_but_services_manages_conversations() {
    let deeds = || {
        [
            CommandKind::SetConversation { kind: Some(ConversationKind::Chatroom), owner: None },
            CommandKind::ForgetConversation,
        ]
    };
    for setting in settings() {
        let mut world = world(setting);
        for id in [setting.place, "new"].into_iter().filter(|id| *id != "*" && !id.starts_with("_tmp:")) {
            for role in all_roles() {
                for deed in deeds() {
                    let actor = actor(&world, setting, role);
                    world.refused(&actor, deed, id, id, "denied");
                }
            }
            for deed in deeds() {
                let command = World::wish(&service("orders"), deed, &[id], id, None);
                assert_eq!(outcome(&world.ruling(&service("orders"), &command)).code, "ok", "{setting:?}");
            }
        }
    }
}

#[test]
fn managers_and_services_read_the_moderation() {
    for setting in settings().into_iter().filter(|setting| setting.targets == Source::Runtime) {
        let world = world(setting);
        let reads = |actor: &Actor| {
            APPS.map(|app| {
                let app = world.engine.app(app).unwrap();
                let signing_request =
                    read_request(app, &actor.client, &at(setting.place), chat_signer::model::Action::ReadModeration);
                let told = world.told(&signing_request, &actor.caller);
                let facts = DecisionData {
                    file: world.engine.policy.entries(),
                    runtime: Some(world.index.entries()),
                    facts: &told,
                };
                world.engine.policy.decide(signing_request, &actor.caller, facts, world.now).is_ok()
            })
        };
        assert_eq!(reads(&service("orders")), [true; 3]);
        for role in all_roles() {
            let should = matches!(role, Some("manager" | "administrator" | "owner"));
            assert_eq!(reads(&actor(&world, setting, role)), [should; 3], "{role:?} {setting:?}");
        }
    }
}

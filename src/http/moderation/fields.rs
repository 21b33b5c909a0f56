//! A request's fields, each held to what it must be.

use std::sync::Arc;

use crate::config::Settings;
use crate::model::{Caller, CallerKind, ConversationKind, Millis, Pattern, TimeError, check_identifier, check_text};
use crate::moderation::{CommandKind, ModerationIndex, SanctionTerms};
use crate::vendor::{InvalidRequest, Params};

/// The most users that one request may name.
const MOST_USERS: usize = 100;

/// The longest identifier, in characters: what of the vendors takes most takes.
const LONGEST: usize = 255;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 255;

/// How many entries a page has, at most and where the request doesn't say.
const MOST_ENTRIES: usize = 1000;
const USUAL: usize = 100;

/// The fields of one request.
#[derive(Clone, Copy)]
pub(super) struct RequestFields<'a> {
    pub(super) params: &'a Params,
    pub(super) settings: &'a Settings,
}

impl<'a> RequestFields<'a> {
    /// The one app that it is about, if it is about one.
    pub(super) fn app(self) -> Result<Option<Arc<str>>, InvalidRequest> {
        let Some(name) = self.params.text("app")? else { return Ok(None) };
        let app = self.settings.engine.app(name);
        let known = || self.settings.engine.apps.iter().map(|app| &**app.name()).collect::<Vec<_>>().join(", ");
        app.map(|app| Some(Arc::clone(app.name())))
            .ok_or_else(|| invalid("app", format!("must be one of the configured apps: {}", known())))
    }

    /// The same for what is taken back, which may be for an app that isn't configured any more.
    pub(super) fn app_of(self, deed: &CommandKind, kept: &ModerationIndex) -> Result<Option<Arc<str>>, InvalidRequest> {
        let left_behind = self.params.text("app")?.filter(|_| deed.is_lifting()).and_then(|name| kept.app(name));
        left_behind.map_or_else(|| self.app(), |app| Ok(Some(Arc::clone(app))))
    }

    /// As whom the caller acts: a user as itself unless it names another; a service as itself, which is nobody's name, unless it names
    /// a user.
    pub(super) fn client(self, caller: &Caller) -> Result<String, InvalidRequest> {
        match (self.params.text("client_id")?, caller.kind) {
            (Some(client), _) => user("client_id", client).map(str::to_owned),
            (None, CallerKind::User) => Ok(caller.subject.clone()),
            (None, CallerKind::Service) => Ok(String::new()),
        }
    }

    /// The users whom it is about, each once.
    pub(super) fn users(self) -> Result<Vec<String>, InvalidRequest> {
        let users = self.params.list("users")?.unwrap_or_default();
        if users.is_empty() || users.len() > MOST_USERS {
            return Err(invalid("users", format!("must name at least one user, and at most {MOST_USERS}")));
        }
        for (place, name) in users.iter().enumerate() {
            let field = format!("users[{place}]");
            user(&field, name)?;
            if users.iter().take(place).any(|other| other == name) {
                return Err(invalid(field, "is there already"));
            }
        }
        Ok(users)
    }

    /// One user to look for.
    pub(super) fn user(self) -> Result<Option<&'a str>, InvalidRequest> {
        self.params.text("user")?.map(|name| user("user", name)).transpose()
    }

    /// Where it is: everywhere, if it doesn't say.
    pub(super) fn place(self) -> Result<Option<Pattern>, InvalidRequest> {
        let Some(text) = self.params.text("conversation")? else { return Ok(None) };
        check_identifier(text, LONGEST).map_err(|flaw| invalid("conversation", flaw.to_string()))?;
        let pattern = Pattern::parse(text).map_err(|flaw| invalid("conversation", flaw.to_string()))?;
        Ok(Some(pattern))
    }

    /// Where it is, which it must say.
    pub(super) fn needed_place(self) -> Result<Pattern, InvalidRequest> {
        let missing = || {
            invalid(
                "conversation",
                "must be given: a conversation, a namespace such as `chat:*`, or `*` for everywhere",
            )
        };
        self.place()?.ok_or_else(missing)
    }

    /// How long it holds, and why.
    pub(super) fn terms(self, now: Millis) -> Result<SanctionTerms, InvalidRequest> {
        Ok(SanctionTerms { until: self.until(now)?, reason: self.reason()? })
    }

    fn until(self, now: Millis) -> Result<Option<Millis>, InvalidRequest> {
        let Some(text) = self.params.text("until")? else { return Ok(None) };
        let until = Millis::parse(text).map_err(|flaw| {
            let message = match flaw {
                TimeError::Beyond => format!("must not be after {}: leave it out for what never ends", Millis::LAST),
                TimeError::Unreadable => {
                    "must be a date and time with an offset: 2027-01-01T00:00:00Z or 2027-01-01T00:00:00+08:00"
                        .to_owned()
                }
            };
            invalid("until", message)
        })?;
        if until <= now {
            return Err(invalid("until", "must be in the future"));
        }
        Ok(Some(until))
    }

    fn reason(self) -> Result<Option<String>, InvalidRequest> {
        let Some(text) = self.params.text("reason")? else { return Ok(None) };
        check_text(text).map_err(|flaw| invalid("reason", flaw.to_string()))?;
        if text.trim().is_empty() || text.chars().count() > LONGEST_REASON {
            let message = format!("must be one line of at most {LONGEST_REASON} characters, and not empty");
            return Err(invalid("reason", message));
        }
        Ok(Some(text.to_owned()))
    }

    /// A role that the policy lists.
    pub(super) fn role(self) -> Result<String, InvalidRequest> {
        let ladder = &self.settings.engine.policy.document().ladder;
        let word = self.params.text("role")?.filter(|word| ladder.role(word).is_some());
        let unknown = || invalid("role", format!("must be one of the policy's roles: {}", ladder.words().join(", ")));
        word.map(str::to_owned).ok_or_else(unknown)
    }

    /// A role that is to be taken away: one that the policy lists no more can be, too.
    pub(super) fn former_role(self) -> Result<String, InvalidRequest> {
        if let Ok(word) = self.role() {
            return Ok(word);
        }
        let word = self.params.text("role")?.unwrap_or_default();
        check_identifier(word, LONGEST).map_err(|flaw| invalid("role", flaw.to_string()))?;
        Ok(word.to_owned())
    }

    /// A conversation's kind, if it is told.
    pub(super) fn kind(self) -> Result<Option<ConversationKind>, InvalidRequest> {
        let Some(word) = self.params.text("kind")? else { return Ok(None) };
        let unknown = || invalid("kind", "must be group, chatroom, temporary or system");
        ConversationKind::parse(word).map(Some).ok_or_else(unknown)
    }

    /// How many entries a page has at most.
    pub(super) fn limit(self) -> Result<usize, InvalidRequest> {
        let Some(text) = self.params.text("limit")? else { return Ok(USUAL) };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| plain && (1..=MOST_ENTRIES).contains(limit));
        limit.ok_or_else(|| invalid("limit", format!("must be a whole number from 1 to {MOST_ENTRIES}")))
    }

    /// Where a list is to go on, if not at its beginning.
    pub(super) fn after<T>(
        self,
        read: impl FnOnce(&str) -> Result<T, InvalidRequest>,
    ) -> Result<Option<T>, InvalidRequest> {
        self.params.text("after")?.map(read).transpose()
    }

    /// A conversation's owner, if it is told.
    pub(super) fn owner(self) -> Result<Option<String>, InvalidRequest> {
        self.params.text("owner")?.map(|name| user("owner", name).map(str::to_owned)).transpose()
    }
}

/// One conversation, by its id or, of a room, by a channel's name.
pub(super) fn conversation(id: &str) -> Result<Pattern, InvalidRequest> {
    let invalid = |message: String| invalid("id", message);
    check_identifier(id, LONGEST).map_err(|flaw| invalid(flaw.to_string()))?;
    match Pattern::parse(id) {
        Ok(pattern @ Pattern::Exact(_)) => Ok(pattern.home().into_owned()),
        _ => Err(invalid("must name one conversation, without a `*`".to_owned())),
    }
}

/// That a field is not as it must be.
pub(super) fn invalid(field: impl Into<String>, message: impl Into<String>) -> InvalidRequest {
    InvalidRequest::new(field, message)
}

/// A user's name.
fn user<'a>(field: &str, name: &'a str) -> Result<&'a str, InvalidRequest> {
    if name == "*" {
        return Err(invalid(field, "must name one user, not `*`"));
    }
    check_identifier(name, LONGEST).map_err(|flaw| invalid(field, flaw.to_string()))?;
    Ok(name)
}

//! Reads and validates the fields of a request.

use std::sync::Arc;

use crate::config::Settings;
use crate::model::{Caller, CallerKind, ConversationKind, Millis, Pattern, TimeError, check_identifier, check_text};
use crate::moderation::api::ModerationParameters;
use crate::moderation::{ChangeSubscribers, CommandKind, ModerationIndex, SanctionTerms};
use crate::vendor::InvalidRequest;

/// The maximum number of users or jobs in one request.
const MAX_TARGETS: usize = 100;

/// The maximum length of an identifier, in characters. The vendor with the longest identifiers accepts this length.
const MAX_IDENTIFIER_LENGTH: usize = 255;

/// The maximum length of a reason, in characters.
const MAX_REASON_LENGTH: usize = 255;

/// The maximum number of entries of a page, and the default.
const MAX_PAGE_SIZE: usize = 1000;
const DEFAULT_PAGE_SIZE: usize = 100;

/// The fields of one request.
#[derive(Clone, Copy)]
pub(super) struct RequestFields<'a> {
    pub(super) params: &'a ModerationParameters,
    pub(super) settings: &'a Settings,
}

impl<'a> RequestFields<'a> {
    /// Returns the app that the request is about, or `None` for all apps.
    pub(super) fn app(self) -> Result<Option<Arc<str>>, InvalidRequest> {
        let Some(name) = self.params.app.as_deref() else { return Ok(None) };
        let app = self.settings.engine.app(name);
        let known = || self.settings.engine.apps.iter().map(|app| &**app.name()).collect::<Vec<_>>().join(", ");
        app.map(|app| Some(Arc::clone(app.name())))
            .ok_or_else(|| invalid_field("app", format!("must be one of the configured apps: {}", known())))
    }

    /// Returns the app that the command is about. If the command removes an entry, the app can be one that is no longer
    /// configured.
    pub(super) fn app_for_command(
        self,
        deed: &CommandKind,
        kept: &ModerationIndex,
    ) -> Result<Option<Arc<str>>, InvalidRequest> {
        let left_behind = self.params.app.as_deref().filter(|_| deed.is_lifting()).and_then(|name| kept.app(name));
        left_behind.map_or_else(|| self.app(), |app| Ok(Some(Arc::clone(app))))
    }

    /// Returns the user that the caller acts as. Without `client_id`, a user acts as itself and a service acts as no
    /// user (empty).
    pub(super) fn client(self, caller: &Caller) -> Result<String, InvalidRequest> {
        match (self.params.client_id.as_deref(), caller.kind) {
            (Some(client), _) => check_user("client_id", client).map(str::to_owned),
            (None, CallerKind::User) => Ok(caller.subject.clone()),
            (None, CallerKind::Service) => Ok(String::new()),
        }
    }

    /// Returns the users that the request is about, each once.
    pub(super) fn users(self) -> Result<Vec<String>, InvalidRequest> {
        let users = &self.params.users;
        if users.is_empty() || users.len() > MAX_TARGETS {
            return Err(invalid_field("users", format!("must name at least one user, and at most {MAX_TARGETS}")));
        }
        for (place, name) in users.iter().enumerate() {
            let field = format!("users[{place}]");
            check_user(&field, name)?;
            if users.iter().take(place).any(|other| other == name) {
                return Err(invalid_field(field, "is a duplicate"));
            }
        }
        Ok(users.clone())
    }

    /// Returns the user that a list is limited to.
    pub(super) fn user(self) -> Result<Option<&'a str>, InvalidRequest> {
        self.params.user.as_deref().map(|name| check_user("user", name)).transpose()
    }

    /// Returns the beginning of the names to find, or an empty text.
    pub(super) fn prefix(self) -> Result<&'a str, InvalidRequest> {
        let Some(prefix) = self.params.prefix.as_deref() else { return Ok("") };
        if prefix.chars().count() > MAX_IDENTIFIER_LENGTH || prefix.chars().any(char::is_control) {
            let message = format!("must have at most {MAX_IDENTIFIER_LENGTH} characters, and no control characters");
            return Err(invalid_field("prefix", message));
        }
        Ok(prefix)
    }

    /// Returns the place that the request is about, or `None` if it names none.
    pub(super) fn scope(self) -> Result<Option<Pattern>, InvalidRequest> {
        let Some(text) = self.params.conversation.as_deref() else { return Ok(None) };
        check_identifier(text, MAX_IDENTIFIER_LENGTH)
            .map_err(|flaw| invalid_field("conversation", flaw.to_string()))?;
        let pattern = Pattern::parse(text).map_err(|flaw| invalid_field("conversation", flaw.to_string()))?;
        Ok(Some(pattern))
    }

    /// Returns the place that the request is about.
    ///
    /// # Errors
    /// Returns an error if the request names none.
    pub(super) fn required_scope(self) -> Result<Pattern, InvalidRequest> {
        let missing = || {
            invalid_field(
                "conversation",
                "must be given: a conversation, a namespace such as `chat:*`, or `*` for everywhere",
            )
        };
        self.scope()?.ok_or_else(missing)
    }

    /// Returns the end and the reason of a ban or mute.
    pub(super) fn sanction_terms(self, now: Millis) -> Result<SanctionTerms, InvalidRequest> {
        Ok(SanctionTerms { until: self.until(now)?, reason: self.reason()? })
    }

    fn until(self, now: Millis) -> Result<Option<Millis>, InvalidRequest> {
        let Some(text) = self.params.until.as_deref() else { return Ok(None) };
        let until = Millis::parse(text).map_err(|flaw| {
            let message = match flaw {
                TimeError::TooLate => format!("must not be after {}: leave it out if there is no end", Millis::LAST),
                TimeError::Invalid => {
                    "must be a date and time with an offset: 2027-01-01T00:00:00Z or 2027-01-01T00:00:00+08:00"
                        .to_owned()
                }
            };
            invalid_field("until", message)
        })?;
        if until <= now {
            return Err(invalid_field("until", "must be in the future"));
        }
        Ok(Some(until))
    }

    /// Checks the jobs that a command is about.
    pub(super) fn jobs(self) -> Result<(), InvalidRequest> {
        let jobs = &self.params.jobs;
        if jobs.is_empty() || jobs.len() > MAX_TARGETS {
            return Err(invalid_field("jobs", format!("must name at least one job, and at most {MAX_TARGETS}")));
        }
        for (place, job) in jobs.iter().enumerate() {
            if job.key().is_none() {
                return Err(invalid_field(format!("jobs[{place}].id"), "must be the `id` of a job in the list"));
            }
            if jobs.iter().take(place).any(|other| other.id == job.id) {
                return Err(invalid_field(format!("jobs[{place}].id"), "is a duplicate"));
            }
        }
        Ok(())
    }

    /// Checks that there is a reason.
    pub(super) fn required_reason(self) -> Result<(), InvalidRequest> {
        let missing = || invalid_field("reason", "must be given: why the jobs are closed");
        self.reason()?.map(drop).ok_or_else(missing)
    }

    /// Checks that the request names an app whose bans and mutes are enforced.
    pub(super) fn enforced_app(self, subscribers: &ChangeSubscribers) -> Result<(), InvalidRequest> {
        let app = self.params.app.as_deref().unwrap_or_default();
        if subscribers.enforced.iter().any(|enforced| **enforced == *app) {
            return Ok(());
        }
        let known = subscribers.enforced.join(", ");
        let known = if known.is_empty() { "none has it" } else { &known };
        Err(invalid_field("app", format!("must be an app with enforcement in the configuration: {known}")))
    }

    fn reason(self) -> Result<Option<String>, InvalidRequest> {
        let Some(text) = self.params.reason.as_deref() else { return Ok(None) };
        check_text(text).map_err(|flaw| invalid_field("reason", flaw.to_string()))?;
        if text.trim().is_empty() || text.chars().count() > MAX_REASON_LENGTH {
            let message = format!("must be one line of at most {MAX_REASON_LENGTH} characters, and not empty");
            return Err(invalid_field("reason", message));
        }
        Ok(Some(text.to_owned()))
    }

    /// Returns a role that the policy lists.
    pub(super) fn role(self) -> Result<String, InvalidRequest> {
        let role_hierarchy = &self.settings.engine.policy.document().role_hierarchy;
        let word = self.params.role.as_deref().filter(|word| role_hierarchy.find(word).is_some());
        let unknown = || {
            invalid_field("role", format!("must be one of the policy's roles: {}", role_hierarchy.names().join(", ")))
        };
        word.map(str::to_owned).ok_or_else(unknown)
    }

    /// Returns a role to remove. It can also be a role that the policy no longer lists.
    pub(super) fn role_to_remove(self) -> Result<String, InvalidRequest> {
        if let Ok(word) = self.role() {
            return Ok(word);
        }
        let word = self.params.role.as_deref().unwrap_or_default();
        check_identifier(word, MAX_IDENTIFIER_LENGTH).map_err(|flaw| invalid_field("role", flaw.to_string()))?;
        Ok(word.to_owned())
    }

    /// Returns the kind of a conversation, if the request names it.
    pub(super) fn kind(self) -> Result<Option<ConversationKind>, InvalidRequest> {
        let Some(word) = self.params.kind.as_deref() else { return Ok(None) };
        let unknown = || invalid_field("kind", "must be group, chatroom, temporary or system");
        ConversationKind::parse(word).map(Some).ok_or_else(unknown)
    }

    /// Returns the maximum number of entries of a page.
    pub(super) fn limit(self) -> Result<usize, InvalidRequest> {
        let Some(text) = self.params.limit.as_deref() else { return Ok(DEFAULT_PAGE_SIZE) };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| plain && (1..=MAX_PAGE_SIZE).contains(limit));
        limit.ok_or_else(|| invalid_field("limit", format!("must be a whole number from 1 to {MAX_PAGE_SIZE}")))
    }

    /// Returns the cursor at which a list continues, if the request has one.
    pub(super) fn after<T>(
        self,
        read: impl FnOnce(&str) -> Result<T, InvalidRequest>,
    ) -> Result<Option<T>, InvalidRequest> {
        self.params.after.as_deref().map(read).transpose()
    }

    /// Returns the owner of a conversation, if the request names it.
    pub(super) fn owner(self) -> Result<Option<String>, InvalidRequest> {
        self.params.owner.as_deref().map(|name| check_user("owner", name).map(str::to_owned)).transpose()
    }
}

/// Parses the id of one conversation. For a room, the name of any of its channels is accepted, too.
pub(super) fn parse_conversation(id: &str) -> Result<Pattern, InvalidRequest> {
    let invalid = |message: String| invalid_field("id", message);
    check_identifier(id, MAX_IDENTIFIER_LENGTH).map_err(|flaw| invalid(flaw.to_string()))?;
    match Pattern::parse(id) {
        Ok(pattern @ Pattern::Exact(_)) => Ok(pattern.home_conversation().into_owned()),
        _ => Err(invalid("must name one conversation, without a `*`".to_owned())),
    }
}

/// Parses a point in time: RFC 3339, or milliseconds since 1970.
pub(super) fn parse_time(field: &str, text: &str) -> Result<Millis, InvalidRequest> {
    let time = text.parse().map(Millis).ok().or_else(|| Millis::parse(text).ok());
    time.ok_or_else(|| invalid_field(field, "must be a time like 2027-01-01T00:00:00Z, or milliseconds since 1970"))
}

/// Creates the error for an invalid field.
pub(super) fn invalid_field(field: impl Into<String>, message: impl Into<String>) -> InvalidRequest {
    InvalidRequest::new(field, message)
}

/// Checks the name of a user.
pub(super) fn check_user<'a>(field: &str, name: &'a str) -> Result<&'a str, InvalidRequest> {
    if name == "*" {
        return Err(invalid_field(field, "must name one user, not `*`"));
    }
    check_identifier(name, MAX_IDENTIFIER_LENGTH).map_err(|flaw| invalid_field(field, flaw.to_string()))?;
    Ok(name)
}

//! Who calls, as `explain` and `test` suppose it: without a credential, but no more than a credential could make of it.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::Map;

use crate::authn::{Authenticator, Forwarded, IdentifyError, Jwt, RequestCredentials, strongest};
use crate::engine::Engine;
use crate::model::{Caller, CallerKind, Millis, Pattern, Role, RoleHierarchy};

/// A caller to suppose.
#[derive(Debug)]
pub(super) struct AssumedCaller<'a> {
    pub(super) kind: CallerKind,
    /// The subject, as the policy sees it: behind the authenticator's prefix.
    pub(super) subject: &'a str,
    /// Which authenticator vouches for it; the first that can, if none is named.
    pub(super) authenticator: Option<&'a str>,
    /// What roles its token gives: `role` everywhere, or `scope=role`.
    pub(super) roles: &'a [String],
}

/// A caller, and what of it can't be as it was supposed.
pub(super) type AssumedCallerWithNotes = (Caller, Vec<String>);

impl AssumedCaller<'_> {
    /// The caller, at this app.
    ///
    /// # Errors
    /// A sentence, if there can be no such caller.
    pub(super) fn caller(&self, engine: &Engine, app: &str) -> Result<AssumedCallerWithNotes, String> {
        let authenticator = self.authenticator(engine, app)?;
        let bindings = match authenticator {
            // The configuration says which role a certificate's caller has.
            Authenticator::Mtls(mtls) if self.roles.is_empty() => mtls.bindings(self.subject),
            _ => self.bindings(&engine.policy.document().ladder)?,
        };
        let (bindings, notes) = credible(authenticator, self.subject, bindings, &engine.policy.document().ladder);
        let bindings = strongest(bindings.into_iter()).map_err(|refusal| format!("roles: {}", refusal.log()))?;
        let caller = Caller {
            kind: self.kind,
            subject: self.subject.to_owned(),
            authenticator: authenticator.common().name.clone(),
            claims: Map::new(),
            bindings,
        };
        Ok((caller, notes))
    }

    fn authenticator<'e>(&self, engine: &'e Engine, app: &str) -> Result<&'e Authenticator, String> {
        let kind = self.kind.as_str();
        let fitting = engine.authenticators.all().iter().filter(|known| {
            let common = known.common();
            common.kind == self.kind
                && common.serves(app)
                && self.authenticator.is_none_or(|name| *name == *common.name)
        });
        let mut refused = None;
        for authenticator in fitting {
            let Err(why) = engine.authenticators.check_subject(authenticator, self.subject) else {
                return Ok(authenticator);
            };
            let name = &authenticator.common().name;
            refused.get_or_insert_with(|| format!("{name} accepts no {kind} `{}`: {}", self.subject, why.log()));
        }
        Err(refused.unwrap_or_else(|| match self.authenticator {
            Some(name) => format!("there is no authenticator `{name}` of {kind}s for the app {app}"),
            None => format!("no {kind} can call for the app {app}: there is no authenticator of {kind}s for it"),
        }))
    }

    fn bindings(&self, ladder: &RoleHierarchy) -> Result<Vec<(Pattern, Role)>, String> {
        self.roles.iter().map(|text| binding(text, ladder)).collect()
    }
}

fn binding(text: &str, ladder: &RoleHierarchy) -> Result<(Pattern, Role), String> {
    let (scope, word) = text.rsplit_once('=').unwrap_or(("*", text));
    let scope = Pattern::parse(scope).map_err(|flaw| format!("roles: the scope `{scope}` {flaw}"))?;
    let role = ladder.role(word);
    let role =
        role.ok_or_else(|| format!("roles: the policy has no role `{word}`, but {}", ladder.words().join(", ")))?;
    Ok((scope, role))
}

/// Of these bindings those that the authenticator would believe, and a note about the others.
fn credible(
    by: &Authenticator,
    subject: &str,
    asked: Vec<(Pattern, Role)>,
    ladder: &RoleHierarchy,
) -> (Vec<(Pattern, Role)>, Vec<String>) {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    for (scope, role) in asked {
        match disbelief(by, subject, &scope, role, ladder) {
            None => kept.push((scope, role)),
            Some(why) => {
                let (word, name) = (ladder.word(role), &by.common().name);
                notes.push(format!("the role {word} at {scope} counts for nothing: {name} {why}"));
            }
        }
    }
    (kept, notes)
}

/// Why no credential of this authenticator gives this subject this role, if none does.
fn disbelief(by: &Authenticator, subject: &str, scope: &Pattern, role: Role, ladder: &RoleHierarchy) -> Option<String> {
    if let Authenticator::Mtls(mtls) = by {
        let given = mtls.bindings(subject).contains(&(scope.clone(), role));
        return (!given).then(|| "gives the roles that stand beside the certificate's name alone".to_owned());
    }
    let (max, everywhere, scoped) = match by {
        Authenticator::Jwt(Jwt { max_role, roles, bindings, .. }) => (*max_role, roles.is_some(), bindings.is_some()),
        Authenticator::Forwarded(Forwarded { max_role, roles_header, .. }) => {
            (*max_role, roles_header.is_some(), false)
        }
        Authenticator::Introspection(one) => (one.max_role, one.roles.is_some(), one.bindings.is_some()),
        Authenticator::ApiKey(_) | Authenticator::Mtls(_) | Authenticator::Process(_) => (None, false, false),
    };
    match max {
        Some(max) if role > max => Some(format!("gives no role above {}", ladder.word(max))),
        Some(_) if scoped || everywhere && *scope == Pattern::Everything => None,
        Some(_) if everywhere && matches!(by, Authenticator::Forwarded(_)) => Some("gives roles at * alone".to_owned()),
        Some(_) if everywhere => Some("has no `bindings`, so it gives roles at * alone".to_owned()),
        _ => Some("gives no roles".to_owned()),
    }
}

/// Who a token is for, found out as the server does.
///
/// # Errors
/// Why the token is refused, or why nobody can tell here.
pub(super) fn by_token(engine: &Engine, token: &str, app: &str, now: Millis) -> Result<Caller, String> {
    const INSTEAD: &str = "and only the server does that; name the caller instead: --as or --service, with --roles";
    let refused = |why: &str| format!("the caller is refused: {why}");
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let value = value.map_err(|_| refused("the token holds more than ASCII"))?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let identified = engine.authenticators.identify(&RequestCredentials::only(&headers), app, now);
    identified.map(Arc::unwrap_or_clone).map_err(|unidentified| match unidentified {
        IdentifyError::Refused(refusal) => refused(&refusal.log()),
        IdentifyError::Unknown(lookup) => format!("the caller can't be told: {lookup}, {INSTEAD}"),
    })
}

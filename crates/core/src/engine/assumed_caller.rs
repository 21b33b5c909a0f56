//! The caller that an explanation assumes. The caller has no credential, but only roles that a credential could give.

use serde_json::Map;

use super::Engine;
use crate::authn::{Authenticator, strongest_roles};
use crate::model::{Caller, CallerKind, Pattern, Role, RoleHierarchy};

/// A caller to assume.
#[derive(Debug)]
pub struct AssumedCaller<'a> {
    /// The kind.
    pub kind: CallerKind,
    /// The subject as the policy sees it: with the prefix of the authenticator.
    pub subject: &'a str,
    /// The name of the authenticator of the caller. `None`: the first authenticator that can accept the caller.
    pub authenticator: Option<&'a str>,
    /// The roles that the token of the caller gives: `role` everywhere, or `scope=role`.
    pub roles: &'a [String],
}

/// A caller, and notes about the assumptions that cannot hold.
pub type AssumedCallerWithNotes = (Caller, Vec<String>);

impl AssumedCaller<'_> {
    /// Builds the caller at this app.
    ///
    /// # Errors
    /// Returns a sentence if no authenticator can accept the caller.
    pub fn build(&self, engine: &Engine, app: &str) -> Result<AssumedCallerWithNotes, String> {
        let authenticator = self.authenticator(engine, app)?;
        let bindings = match authenticator {
            // For mTLS, the configuration defines the roles of the caller.
            Authenticator::Mtls(mtls) if self.roles.is_empty() => mtls.bindings(self.subject),
            _ => self.bindings(&engine.policy.document().role_hierarchy)?,
        };
        let (bindings, notes) =
            split_bindings(authenticator, self.subject, bindings, &engine.policy.document().role_hierarchy);
        let bindings =
            strongest_roles(bindings.into_iter()).map_err(|refusal| format!("roles: {}", refusal.log_message()))?;
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
                && common.accepts_app(app)
                && self.authenticator.is_none_or(|name| *name == *common.name)
        });
        let mut refused = None;
        for authenticator in fitting {
            let Err(why) = engine.authenticators.check_subject(authenticator, self.subject) else {
                return Ok(authenticator);
            };
            let name = &authenticator.common().name;
            refused
                .get_or_insert_with(|| format!("{name} accepts no {kind} `{}`: {}", self.subject, why.log_message()));
        }
        Err(refused.unwrap_or_else(|| match self.authenticator {
            Some(name) => format!("there is no authenticator `{name}` of {kind}s for the app {app}"),
            None => format!("no {kind} can call the app {app}: it has no authenticator of {kind}s"),
        }))
    }

    fn bindings(&self, role_hierarchy: &RoleHierarchy) -> Result<Vec<(Pattern, Role)>, String> {
        self.roles.iter().map(|text| parse_binding(text, role_hierarchy)).collect()
    }
}

fn parse_binding(text: &str, role_hierarchy: &RoleHierarchy) -> Result<(Pattern, Role), String> {
    let (scope, word) = text.rsplit_once('=').unwrap_or(("*", text));
    let scope = Pattern::parse(scope).map_err(|flaw| format!("roles: the scope `{scope}` {flaw}"))?;
    let role = role_hierarchy.find(word);
    let role = role.ok_or_else(|| {
        format!("roles: the policy has no role `{word}`; its roles: {}", role_hierarchy.names().join(", "))
    })?;
    Ok((scope, role))
}

/// Returns the bindings that a credential of the authenticator can give, and a note about each other binding.
fn split_bindings(
    by: &Authenticator,
    subject: &str,
    asked: Vec<(Pattern, Role)>,
    role_hierarchy: &RoleHierarchy,
) -> (Vec<(Pattern, Role)>, Vec<String>) {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    for (scope, role) in asked {
        match binding_deny_reason(by, subject, &scope, role, role_hierarchy) {
            None => kept.push((scope, role)),
            Some(why) => {
                let (word, name) = (role_hierarchy.name(role), &by.common().name);
                notes.push(format!("the role {word} at {scope} has no effect: {name} {why}"));
            }
        }
    }
    (kept, notes)
}

/// Returns the reason if no credential of this authenticator can give the role to the subject.
fn binding_deny_reason(
    by: &Authenticator,
    subject: &str,
    scope: &Pattern,
    role: Role,
    role_hierarchy: &RoleHierarchy,
) -> Option<String> {
    if let Authenticator::Mtls(mtls) = by {
        let given = mtls.bindings(subject).contains(&(scope.clone(), role));
        return (!given).then(|| "gives only the roles that the configuration lists for the certificate".to_owned());
    }
    let roles = by.identity().map(|identity| &identity.roles);
    let everywhere = roles.is_some_and(|mapping| mapping.roles.is_some());
    let scoped = roles.is_some_and(|mapping| mapping.bindings.is_some());
    match roles.and_then(|mapping| mapping.max_role) {
        Some(max) if role > max => Some(format!("gives no role above {}", role_hierarchy.name(max))),
        Some(_) if scoped || everywhere && *scope == Pattern::Everything => None,
        Some(_) if everywhere && matches!(by, Authenticator::Forwarded(_)) => Some("gives roles only at *".to_owned()),
        Some(_) if everywhere => Some("has no `bindings`, so it gives roles only at *".to_owned()),
        _ => Some("gives no roles".to_owned()),
    }
}

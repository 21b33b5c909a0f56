//! Warns about deny rules with placeholders that may have no value.

use crate::policy::condition::alternatives;
use crate::policy::rule::{Effect, Rule};

/// Returns a warning if a deny rule may match more conversations than its author expects.
pub(super) fn lint_placeholders(rule: &Rule) -> Option<String> {
    let templates = rule.conversations.iter().flatten().filter(|_| rule.effect == Effect::Deny);
    let with_claims: Vec<_> = templates.filter(|template| template.claims().next().is_some()).collect();
    let claims =
        alternatives(with_claims.iter().flat_map(|template| template.claims()).map(|claim| format!("`{claim}`")));
    let patterns = alternatives(with_claims.iter().map(|template| format!("`{}`", template.source())));
    (!with_claims.is_empty()).then(|| {
        format!(
            "in this deny rule, {patterns} matches any segment in place of a claim that the caller's token lacks or whose \
             value is not one segment: callers without {claims} are denied all these conversations; to exclude such \
             callers, add `callers` or `authenticators`"
        )
    })
}

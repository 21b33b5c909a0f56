//! Narrows a requested pattern to what the policy grants inside it, as Ably intersects a requested capability with the
//! capability of a key.
//!
//! Each narrower pattern is decided as if it were requested by itself. So a request for a wide pattern never gets more
//! than requests for the narrower patterns would get.

use super::effective_role;
use super::eval_context::EvalContext;
use super::parts::role_scopes;
use super::rule::Effect;
use crate::model::{ActionSet, Pattern, RequestedGrant, check_identifier};

/// How many narrower patterns are decided for one request. The requested patterns share them equally. Further patterns
/// are not granted.
const MAX_NARROWER_PATTERNS: usize = 100;

/// The longest name that a vendor accepts, in characters.
const MAX_NAME_CHARS: usize = 255;

/// Returns the patterns inside `asked` that an allow rule about one of these operations names, or in which the caller or
/// the client has a role. The widest come first. The result depends only on the request and the entries, so that facts
/// can be asked for the same patterns before the decision.
pub(super) fn narrower_patterns(
    context: EvalContext<'_>,
    RequestedGrant { resource: asked, operations }: &RequestedGrant,
) -> Vec<Pattern> {
    if asked.exact().is_some() {
        return Vec::new();
    }
    let rules = context.rules_naming_conversations();
    let rules = rules.filter(|rule| rule.effect == Effect::Allow && !rule.actions.intersection(*operations).is_empty());
    let templates = rules.flat_map(|rule| rule.conversations.iter().flatten());
    let mut scopes = role_scopes(context, asked);
    scopes.extend(templates.filter_map(|template| context.fill_template(Effect::Allow, template, asked)));
    let mut narrower: Vec<Pattern> =
        effective_role::split(asked, &scopes).into_iter().filter(is_channel_name).collect();
    narrower.sort_by_key(Pattern::specificity);
    narrower.truncate((MAX_NARROWER_PATTERNS / context.request.requested_grants.len().max(1)).max(1));
    narrower
}

/// Returns whether a request could name the pattern. A value in a template can make it too long, and Ably does not know
/// prefixes such as `room-*`.
fn is_channel_name(pattern: &Pattern) -> bool {
    let text = pattern.to_string();
    check_identifier(&text, MAX_NAME_CHARS).is_ok() && !text.starts_with(':') && !pattern.is_literal_at_ably()
}

/// Returns the grants inside the requested pattern, for those of its operations that are denied in the whole of it.
/// `decide` returns the allowed ones of some operations in a pattern.
pub(super) fn narrower_grants(
    context: EvalContext<'_>,
    requested: &RequestedGrant,
    denied: ActionSet,
    mut decide: impl FnMut(&Pattern, ActionSet) -> ActionSet,
) -> Vec<RequestedGrant> {
    let mut grants: Vec<RequestedGrant> = Vec::new();
    if denied.is_empty() {
        return grants;
    }
    for pattern in narrower_patterns(context, requested) {
        // The name of a room covers its channels in policies, but not at Ably.
        let is_wider = |wider: &Pattern| wider.exact().is_none() && wider.covers(&pattern);
        let wider = grants.iter().filter(|grant| is_wider(&grant.resource));
        let granted: ActionSet = wider.flat_map(|grant| grant.operations.iter()).collect();
        let open = denied.iter().filter(|operation| !granted.contains(*operation)).collect();
        let operations = decide(&pattern, open);
        if !operations.is_empty() {
            grants.push(RequestedGrant { resource: pattern, operations });
        }
    }
    grants
}

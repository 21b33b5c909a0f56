//! The request that an explanation is about: an operation of the vendor, or an action that only the policy knows.

use crate::model::{
    Action, ActionSet, Caller, CallerKind, Pattern, RequiredAction, SigningRequest, Vendor, check_identifier,
};
use crate::vendor::{self, App, InvalidRequest, Params};

/// The longest name of a user, in characters.
const MAX_NAME_CHARS: usize = 255;

/// Reads a list of ids: `a,b,c`, or a JSON list of strings for ids that contain a comma.
///
/// # Errors
/// Returns the flaw, in words that follow the name of the list.
pub fn parse_id_list(text: &str) -> Result<Vec<String>, String> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|error| format!("must be a,b,c or a JSON list of strings: {error}"));
    }
    Ok(if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() })
}

/// Builds the request of this caller for an operation of the app, or for an action that only the policy knows. The
/// parameters have the names of chat-signer: `client_id` (`user_id` for TalkJS), `conv_id`, `members`, `capability`
/// and `ttl`. If moderation names no conversation, it is about all of them.
///
/// # Errors
/// Returns an error if a parameter is invalid or has no meaning for the action.
pub fn request_for_action(
    app: &App,
    action: &str,
    params: &Params,
    caller: &Caller,
) -> Result<SigningRequest, InvalidRequest> {
    if let Some(operation) = vendor::operation(app, action) {
        return Ok(vendor::parse(app, operation, params, Some(caller))?.signing_request);
    }
    let actions = policy_only_actions(app.vendor());
    match Action::parse(action).filter(|action| actions.contains(*action)) {
        Some(action) => PolicyActionRequest { app, action, params, caller }.build(),
        None => Err(unknown_action(app, actions)),
    }
}

fn unknown_action(app: &App, actions: ActionSet) -> InvalidRequest {
    let words = app.vendor().spec().operation_names().into_iter().chain(actions.iter().map(Action::as_str));
    let words = words.collect::<Vec<_>>().join(", ");
    InvalidRequest::new("action", format!("must be an action of the app {}: {words}", app.name()))
}

/// A request for one action that only the policy knows.
#[derive(Clone, Copy)]
struct PolicyActionRequest<'a> {
    app: &'a App,
    action: Action,
    params: &'a Params,
    caller: &'a Caller,
}

impl PolicyActionRequest<'_> {
    fn build(self) -> Result<SigningRequest, InvalidRequest> {
        let PolicyActionRequest { app, action, .. } = self;
        self.reject_unused_params()?;
        let client = self.client()?;
        let targets = self.targets()?;
        let conversation = self.scope()?;
        let need = |targets| RequiredAction { action, conversation: conversation.clone(), targets };
        // The policy decides about each user separately.
        let needs = targets.iter().map(|target| need(vec![target.clone()]));
        let needs = if targets.is_empty() { vec![need(Vec::new())] } else { needs.collect() };
        Ok(SigningRequest {
            app: app.name().clone(),
            vendor: app.vendor(),
            action,
            client,
            conversation,
            members: targets,
            required_actions: needs,
            requested_grants: Vec::new(),
            left_out: Vec::new(),
        })
    }

    /// Rejects parameters that have no meaning for the action.
    fn reject_unused_params(self) -> Result<(), InvalidRequest> {
        let is_known = |name: &str| match name {
            "conv_id" => self.action != Action::Login,
            "members" => acts_on_users(self.action),
            name => name == self.app.vendor().spec().client_field,
        };
        let unknown = self.params.values.keys().find(|name| !is_known(name));
        unknown.map_or(Ok(()), |name| Err(InvalidRequest::new(name, "is not known here: this action does not take it")))
    }

    /// Returns the users that the action is done to.
    fn targets(self) -> Result<Vec<String>, InvalidRequest> {
        let targets = self.params.list("members")?.unwrap_or_default();
        if targets.is_empty() && acts_on_users(self.action) {
            return Err(InvalidRequest::new("members", format!("must be given: {} is done to users", self.action)));
        }
        for target in &targets {
            check_name("members", target)?;
            if target == "*" {
                return Err(InvalidRequest::new("members", "must name one client each, not `*`"));
            }
        }
        Ok(targets)
    }

    /// Returns the client. The caller must be able to request a login for it. If a service names no client for
    /// moderation, it acts as itself.
    fn client(self) -> Result<String, InvalidRequest> {
        let spec = self.app.vendor().spec();
        let named = self.params.value(spec.client_field);
        if named.is_none() && self.action.is_moderation() && self.caller.kind == CallerKind::Service {
            return Ok(String::new());
        }
        let mut login = Params::default();
        login.values.extend(named.map(|client| (spec.client_field.to_owned(), client.clone())));
        let examples = spec.login.fields.iter().map(|(name, example)| ((*name).to_owned(), (*example).into()));
        login.values.extend(examples);
        Ok(request_for_action(self.app, spec.login.operation, &login, self.caller)?.client)
    }

    fn scope(self) -> Result<Option<Pattern>, InvalidRequest> {
        let flaw = |flaw: String| InvalidRequest::new("conv_id", flaw);
        let action = self.action;
        match self.params.text("conv_id")? {
            Some(id) => (self.app.vendor().spec().parse_conversation)(id).map(Some).map_err(flaw),
            None if action.is_channel_operation() => Err(flaw(format!("must be given: {action} is about a channel"))),
            None if BLOCKS.contains(action) || action == Action::ManageConversation => {
                Err(flaw(format!("must be given: {action} is about a conversation")))
            }
            None => Ok(action.is_moderation().then_some(Pattern::Everything)),
        }
    }
}

/// Returns the actions that the policy decides about and that are not operations of the vendor.
fn policy_only_actions(vendor: Vendor) -> ActionSet {
    let spec = vendor.spec();
    let known = |action: Action| {
        action.is_moderation() || ALL_VENDORS.contains(action) || spec.features.actions.contains(action)
    };
    let is_operation = |action: Action| spec.operation(action.as_str()).is_some();
    Action::ALL.iter().copied().filter(|action| known(*action) && !is_operation(*action)).collect()
}

/// The actions that the policy decides about at every vendor.
const ALL_VENDORS: ActionSet = ActionSet::GATES.union(BLOCKS);

/// The actions of users on their own blocks, which are moderation entries. Only LeanCloud has signatures for them, too.
const BLOCKS: ActionSet = ActionSet::of(&[Action::BlockConversation, Action::UnblockConversation]);

/// Returns true if the action is moderation of users.
fn acts_on_users(action: Action) -> bool {
    action.is_moderation() && !ActionSet::MODERATION_WITHOUT_TARGETS.contains(action)
}

fn check_name(field: &str, id: &str) -> Result<(), InvalidRequest> {
    check_identifier(id, MAX_NAME_CHARS).map_err(|flaw| InvalidRequest::new(field, flaw.to_string()))
}

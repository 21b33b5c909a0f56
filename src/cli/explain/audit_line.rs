//! Starts an explanation from a line of the audit log: the caller, the request and the time of the line.

use std::path::Path;

use serde_json::Value;

use super::super::audit::{LineSource, LoggedCaller, LoggedLine};
use super::super::common::{CommandError, parse_time};
use super::super::request_args::{MemberList, RequestArguments};
use super::caller_arguments::CallerArguments;
use crate::model::{Action, Millis, Vendor};
use crate::vendor::VendorSpec;

/// What a line of the audit log says about a request.
pub(super) struct LoggedRequest {
    pub(super) asked: RequestArguments,
    pub(super) who: CallerArguments,
    pub(super) at: Millis,
    /// The action of the line, if the line does not have the complete request of a token or signature.
    pub(super) lone_action: Option<String>,
}

/// Finds the first line of this request in an audit log.
///
/// # Errors
/// Returns an error if the file cannot be read, or if it has no line of this request that names a caller, an app and an
/// action.
pub(super) fn find(file: &Path, request_id: &str) -> Result<LoggedRequest, CommandError> {
    let flaw = |flaw: String| CommandError::Failed(format!("--audit {}: {flaw}", file.display()));
    let mut source = LineSource::open(file).map_err(|error| flaw(error.to_string()))?;
    while let Some(text) = source.next_line().map_err(|error| flaw(error.to_string()))? {
        if let Some(line) = LoggedLine::parse(&text).filter(|line| line.request_id.as_deref() == Some(request_id)) {
            return read_request(line).map_err(|missing| {
                flaw(format!("the line of {request_id} has no {missing}, so there is no decision to explain"))
            });
        }
    }
    Err(flaw(format!("it has no line with the request_id {request_id}")))
}

/// Returns the request of a line, or the part that is missing.
fn read_request(line: LoggedLine) -> Result<LoggedRequest, &'static str> {
    if line.targets_count.is_some() || line.asked_count.is_some() {
        return Err("complete list of the members or channels");
    }
    let LoggedLine { authenticator, client, conversation, targets, asked, granted, .. } = line;
    // A service asked about the request of another caller.
    let (caller, action, authenticator) = match line.about {
        Some(about) => (Some(about), line.question, None),
        None => (line.caller, line.action, authenticator),
    };
    let LoggedCaller { kind, subject } = caller.ok_or("caller")?;
    let grants = if granted.is_empty() { asked } else { granted };
    let spec = line.vendor.as_deref().and_then(Vendor::parse).map(Vendor::spec);
    let is_token = !grants.is_empty();
    let has_capability = is_token && spec.is_none_or(VendorSpec::takes_capability);
    // A denial of the login names no conversation, but the grants do.
    let conversation = conversation.or_else(|| grants.keys().next().cloned()).filter(|_| !has_capability);
    let action = action.ok_or("action")?;
    // The line of a denied token names the denied operation.
    let action = if is_token { spec.map_or("token", |spec| spec.login.operation).to_owned() } else { action };
    let lone_action = spec.is_some_and(|spec| is_lone(spec, &action)).then(|| action.clone());
    let asked = RequestArguments {
        app: line.app.ok_or("app")?,
        action,
        client_id: client,
        conv_id: conversation,
        members: (!targets.is_empty()).then_some(MemberList(targets)),
        capability: has_capability.then(|| Value::Object(grants).to_string()),
        ttl: None,
        fields: Vec::new(),
    };
    let (user, service) = if kind == "service" { (None, Some(subject)) } else { (Some(subject), None) };
    let who = CallerArguments { user, service, token: None, roles: Vec::new(), authenticator };
    Ok(LoggedRequest { asked, who, at: parse_time(&line.time).map_err(|_| "time")?, lone_action })
}

/// Returns true if the action is only a part of a request: it is no operation of the vendor, and no moderation.
fn is_lone(spec: &VendorSpec, action: &str) -> bool {
    spec.operation(action).is_none() && !Action::parse(action).is_some_and(Action::is_moderation)
}

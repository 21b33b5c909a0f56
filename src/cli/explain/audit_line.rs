//! Starts an explanation from a line of the audit log: the caller, the request and the time of the line.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::common::{CommandError, parse_time};
use super::super::request_args::{MemberList, RequestArguments};
use super::caller_arguments::CallerArguments;
use crate::model::{Action, Millis, Vendor};
use crate::vendor::VendorSpec;

/// The fields of an audit line that describe a request.
#[derive(Deserialize)]
struct AuditedRequest {
    time: String,
    request_id: Option<String>,
    authenticator: Option<String>,
    caller: Option<AuditedCaller>,
    app: Option<String>,
    vendor: Option<String>,
    action: Option<String>,
    client: Option<String>,
    conversation: Option<String>,
    #[serde(default)]
    targets: Vec<String>,
    /// The requested grants, if nothing was granted.
    #[serde(default)]
    asked: Map<String, Value>,
    #[serde(default)]
    granted: Map<String, Value>,
}

#[derive(Deserialize)]
struct AuditedCaller {
    kind: String,
    subject: String,
}

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
    let text = fs::read_to_string(file).map_err(|error| flaw(error.to_string()))?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<AuditedRequest>(line).ok());
    let line = lines.into_iter().find(|line| line.request_id.as_deref() == Some(request_id));
    let line = line.ok_or_else(|| flaw(format!("it has no line with the request_id {request_id}")))?;
    line.into_request().map_err(|missing| {
        flaw(format!("the line of {request_id} has no {missing}, so there is no decision to explain"))
    })
}

impl AuditedRequest {
    /// Returns the request, or the name of a missing field.
    fn into_request(self) -> Result<LoggedRequest, &'static str> {
        let AuditedRequest { authenticator, client, conversation, targets, asked, granted, .. } = self;
        let AuditedCaller { kind, subject } = self.caller.ok_or("caller")?;
        let grants = if granted.is_empty() { asked } else { granted };
        let spec = self.vendor.as_deref().and_then(Vendor::parse).map(Vendor::spec);
        let is_token = !grants.is_empty();
        let has_capability = is_token && spec.is_none_or(VendorSpec::takes_capability);
        // A denial of the login names no conversation, but the grants do.
        let conversation = conversation.or_else(|| grants.keys().next().cloned()).filter(|_| !has_capability);
        let action = self.action.ok_or("action")?;
        // The line of a denied token names the denied operation.
        let action = if is_token { spec.map_or("token", |spec| spec.login.operation).to_owned() } else { action };
        let lone_action = spec.is_some_and(|spec| is_lone(spec, &action)).then(|| action.clone());
        let asked = RequestArguments {
            app: self.app.ok_or("app")?,
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
        Ok(LoggedRequest { asked, who, at: parse_time(&self.time).map_err(|_| "time")?, lone_action })
    }
}

/// Returns true if the action is only a part of a request: it is no operation of the vendor, and no moderation.
fn is_lone(spec: &VendorSpec, action: &str) -> bool {
    spec.operation(action).is_none() && !Action::parse(action).is_some_and(Action::is_moderation)
}

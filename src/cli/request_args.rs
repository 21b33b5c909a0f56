//! The arguments of `sign`, `verify` and `explain` that describe a request: the same fields as over HTTP.

use serde_json::{Map, Value, json};

use super::common::CommandError;
use crate::engine::{parse_id_list, request_for_action};
use crate::model::{Caller, Millis, SigningRequest, Vendor};
use crate::vendor::{self, App, InvalidRequest, Nonce, OperationSpec, Params, VendorRequest};

/// An app, an action, and the action's fields.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RequestArguments {
    /// The name of the app in the configuration.
    pub(super) app: String,
    /// The action: the last segment of its route (invite, token, …). For `explain` also an action of the policy
    /// (publish, ban, …).
    pub(super) action: String,
    /// The id of the client: the clientId at LeanCloud and Ably, the user id at other vendors.
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// The id of the conversation.
    #[arg(long, value_name = "ID")]
    pub(super) conv_id: Option<String>,
    /// The members: a,b,c or a JSON list. "" means no members.
    #[arg(long, value_name = "IDS", value_parser = parse_members)]
    pub(super) members: Option<MemberList>,
    /// An Ably capability, for example `{"chat:*": ["subscribe"]}`.
    #[arg(long, value_name = "JSON")]
    pub(super) capability: Option<String>,
    /// The lifetime of the token: 1h, or a number in the unit of the vendor (Ably: milliseconds; others: seconds).
    #[arg(long, value_name = "TIME")]
    pub(super) ttl: Option<String>,
    /// A further field of the request, for example `call_cids=["default:a"]`. Can be repeated. A value that starts with
    /// `[` or `{` is JSON; any other value is a text.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = parse_field)]
    pub(super) fields: Vec<(String, Value)>,
}

/// The timestamp and the nonce of a signature.
#[derive(Debug, clap::Args)]
pub(super) struct SigningTime {
    /// The time of the signature, in the unit that is signed. LeanCloud: as configured; JWT: seconds; token request:
    /// milliseconds.
    #[arg(long, value_name = "NUMBER")]
    pub(super) timestamp: Option<u64>,
    /// The nonce of the signature.
    #[arg(long)]
    nonce: Option<String>,
}

/// A list of members. A separate type, because clap reads a `Vec` as an option that can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberList(pub(super) Vec<String>);

fn parse_members(text: &str) -> Result<MemberList, String> {
    parse_id_list(text).map(MemberList)
}

/// Reads a field and its value.
fn parse_field(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("must be NAME=VALUE")?;
    let value = if value.starts_with(['[', '{']) {
        serde_json::from_str(value).map_err(|error| format!("has a value that is not JSON: {error}"))?
    } else {
        Value::from(value)
    };
    Ok((name.to_owned(), value))
}

impl RequestArguments {
    /// Finds the app by its name.
    pub(super) fn app<'a>(&self, apps: &'a [App]) -> Result<&'a App, CommandError> {
        apps.iter().find(|app| **app.name() == *self.app).ok_or_else(|| {
            let names: Vec<&str> = apps.iter().map(|app| &**app.name()).collect();
            CommandError::Usage(format!("there is no app `{}`; configured apps: {}", self.app, names.join(", ")))
        })
    }

    /// Finds the operation by the name of the action.
    pub(super) fn operation(&self, app: &App) -> Result<&'static OperationSpec, CommandError> {
        let names = app.vendor().spec().operation_names().into_iter();
        vendor::operation(app, &self.action).ok_or_else(|| self.unknown_action(names))
    }

    fn unknown_action<'a>(&self, words: impl Iterator<Item = &'a str>) -> CommandError {
        let words = words.collect::<Vec<_>>().join(", ");
        CommandError::Usage(format!("`{}` is not an action of the app {}; its actions: {words}", self.action, self.app))
    }

    /// Builds the request by the same rules as for a request over HTTP. `caller` is `None` for an operator.
    pub(super) fn request(
        &self,
        app: &App,
        operation: &OperationSpec,
        caller: Option<&Caller>,
    ) -> Result<VendorRequest, CommandError> {
        vendor::parse(app, operation, &self.params(app.vendor())?, caller)
            .map_err(|invalid| CommandError::Usage(describe_invalid(&invalid)))
    }

    /// Builds the signing request of this caller. The action is an operation of the app, or an action that only the
    /// policy knows.
    pub(super) fn signing_request(&self, app: &App, caller: &Caller) -> Result<SigningRequest, CommandError> {
        request_for_action(app, &self.action, &self.params(app.vendor())?, caller)
            .map_err(|invalid| CommandError::Usage(describe_invalid(&invalid)))
    }

    /// Returns the fields that have no parameter of their own in a question to a server, as a JSON object.
    ///
    /// # Errors
    /// Returns an error if a field is given more than once.
    pub(super) fn further_fields(&self) -> Result<Option<String>, CommandError> {
        let ttl = self.requested_ttl().map(|ttl| ("ttl".to_owned(), ttl));
        let fields = self.with_fields(ttl.into_iter().collect())?;
        Ok((!fields.is_empty()).then(|| Value::Object(fields).to_string()))
    }

    fn requested_ttl(&self) -> Option<Value> {
        self.ttl.as_ref().map(|ttl| ttl.parse::<u64>().map_or_else(|_| json!(ttl), |number| json!(number)))
    }

    /// Adds the values of `--field`.
    fn with_fields(&self, mut values: Map<String, Value>) -> Result<Map<String, Value>, CommandError> {
        for (name, value) in &self.fields {
            if values.insert(name.clone(), value.clone()).is_some() {
                return Err(CommandError::Usage(format!("--field {name}: this field is given more than once")));
            }
        }
        Ok(values)
    }

    /// Returns the fields of the request.
    ///
    /// # Errors
    /// Returns an error if a field is given more than once.
    fn params(&self, vendor: Vendor) -> Result<Params, CommandError> {
        let client = vendor.spec().client_field;
        let conversation = vendor.spec().conversation_field_of(&self.action);
        let fields = [
            (client, self.client_id.as_ref().map(|id| json!(id))),
            (conversation, self.conv_id.as_ref().map(|id| json!(id))),
            ("members", self.members.as_ref().map(|MemberList(list)| json!(list))),
            ("capability", self.capability.as_ref().map(|text| json!(text))),
            ("ttl", self.requested_ttl()),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let values = self.with_fields(given.collect())?;
        Ok(Params { values, lenient: false })
    }
}

/// Describes what is wrong with a field, with the name of its flag.
pub(super) fn describe_invalid(InvalidRequest { field, message }: &InvalidRequest) -> String {
    let flag = match field.as_str() {
        "client_id" | "user_id" => "--client-id".to_owned(),
        "conv_id" => "--conv-id".to_owned(),
        "action" => "ACTION".to_owned(),
        flag if ["members", "capability", "ttl", "nonce"].iter().any(|known| flag.starts_with(known)) => {
            format!("--{flag}")
        }
        other => other.to_owned(),
    };
    if message.starts_with("is not known here") {
        return format!("this action does not take {flag}");
    }
    format!("{flag} {message}")
}

impl SigningTime {
    /// Returns the time in the arguments, if there is one.
    pub(super) fn time(&self, app: &App, operation: &OperationSpec) -> Option<Millis> {
        Some(app.time_unit(operation.operation).time(self.timestamp?))
    }

    /// Returns the nonce in the arguments, if there is one.
    pub(super) fn nonce(&self) -> Result<Option<Nonce>, CommandError> {
        let nonce = self.nonce.as_deref().map(Nonce::parse).transpose();
        nonce.map_err(|flaw| CommandError::Usage(format!("--nonce {flaw}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_texts_or_json() {
        let read = |text: &str| parse_field(text).map(|(name, value)| (name, value.to_string()));
        assert_eq!(read("a=b=c"), Ok(("a".to_owned(), r#""b=c""#.to_owned())));
        assert_eq!(read(r#"a=["b"]"#), Ok(("a".to_owned(), r#"["b"]"#.to_owned())));
        assert_eq!(read("a="), Ok(("a".to_owned(), r#""""#.to_owned())));
        assert!(read("a").is_err() && read("=b").is_err() && read("a={").is_err());
    }

    #[test]
    fn members_are_a_list_in_either_form() {
        let read = |text: &str| parse_members(text).map(|MemberList(list)| list);
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("a,b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read("a,,b"), Ok(vec!["a".to_owned(), String::new(), "b".to_owned()]));
        assert_eq!(read(r#"["a,b"]"#), Ok(vec!["a,b".to_owned()]));
        assert!(read("[a]").is_err());
    }
}

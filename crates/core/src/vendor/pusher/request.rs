//! Reads requests for a Pusher app, with the field names of Pusher's SDKs.

use serde_json::{Map, Value};

use super::message::{Channel, ChannelKind, SocketId, is_name_byte};
use super::{App, Operation, SigningJob};
use crate::model::{Action, Caller, Pattern, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::client_or_caller;
use crate::vendor::signing_input::JsonObject;
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The longest user id, in characters. It is Pusher's limit for presence channels.
const MAX_USER_CHARS: usize = 128;

/// The longest description of a user, in bytes.
const MAX_USER_BYTES: usize = 1024;

/// The name of the id in the data of presence channels.
const MEMBER_ID: &str = "user_id";

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    let fields: &[&str] = match operation {
        Operation::ChannelAuth => &["socket_id", "channel_name", "user_id"],
        Operation::UserAuth => &["socket_id", "user_id"],
    };
    params.reject_unknown(fields)?;
    let socket = SocketId::parse(required(params, "socket_id")?)?;
    let user = client_or_caller("user_id", params.text("user_id")?, caller)?;
    check_user(user)?;
    match operation {
        Operation::ChannelAuth => {
            let channel = Channel::parse(required(params, "channel_name")?)?;
            app.check_channel(&channel)?;
            let data = match channel.kind() {
                ChannelKind::Private | ChannelKind::Encrypted => None,
                ChannelKind::Presence => Some(user_json(app, MEMBER_ID, user, caller)?),
            };
            let signing_request = signing_request(app, user, &app.channel_actions(&channel), Some(&channel));
            Ok((signing_request, SigningJob::ChannelAuth { socket, channel, data }))
        }
        Operation::UserAuth => {
            let data = user_json(app, "id", user, caller)?;
            Ok((signing_request(app, user, &[Action::Login], None), SigningJob::UserAuth { socket, data }))
        }
    }
}

/// Makes the question for the policy. The first action is the action of the request.
fn signing_request(app: &App, user: &str, actions: &[Action], channel: Option<&Channel>) -> SigningRequest {
    let conversation = channel.map(|channel| Pattern::Exact(channel.conversation().to_owned()));
    let needed =
        |action: &Action| RequiredAction { action: *action, conversation: conversation.clone(), targets: Vec::new() };
    SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Pusher,
        action: actions.first().copied().unwrap_or(Action::Login),
        client: user.to_owned(),
        required_actions: actions.iter().map(needed).collect(),
        conversation,
        members: Vec::new(),
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    }
}

fn required<'a>(params: &'a Params, field: &str) -> Result<&'a str, InvalidRequest> {
    params.text(field)?.ok_or_else(|| InvalidRequest::new(field, "must be given"))
}

fn check_user(user: &str) -> Result<(), InvalidRequest> {
    if user.is_empty() || user.len() > MAX_USER_CHARS || !user.bytes().all(is_name_byte) {
        let message =
            format!("must be 1 to {MAX_USER_CHARS} letters, digits and `_` `-` `=` `@` `,` `.` `;`, as at Pusher");
        return Err(InvalidRequest::new("user_id", message));
    }
    Ok(())
}

/// Returns the JSON about a user that other members see: the id, and the configured claims of the caller's token. A
/// token describes only its caller, so there are no claims for another user.
fn user_json(app: &App, id_name: &str, user: &str, caller: Option<&Caller>) -> Result<String, InvalidRequest> {
    let caller = caller.filter(|caller| caller.is_client(user));
    let claim = |name: &String| Some((name.clone(), caller?.claims.get(name)?.clone()));
    let info: Map<String, Value> = app.presence_claims.iter().filter_map(claim).collect();
    let object = JsonObject::new().string(id_name, user);
    // Soketi lists only members with `user_info`, also if it is empty.
    let has_info = id_name == MEMBER_ID || !info.is_empty();
    let json = if has_info { object.object("user_info", &info) } else { object }.finish();
    if json.len() > MAX_USER_BYTES {
        let message = format!("has {} bytes with its claims, but Pusher allows {MAX_USER_BYTES}", json.len());
        return Err(InvalidRequest::new("user_id", message));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::secret::Secret;
    use crate::vendor::pusher::ChannelOptions;
    use crate::vendor::tests::{params, query, service, user};

    fn app(client_events: bool) -> App {
        let options = ChannelOptions { client_events, encryption_key: None, presence_claims: vec!["name".to_owned()] };
        let secret = Secret::new(b"made-up".to_vec());
        App::new("pusher".into(), "4711".to_owned(), "key".to_owned(), &[secret], options)
    }

    fn read(operation: Operation, values: Value) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(true), operation, &params(values), Some(&user("tom")))
    }

    fn error(operation: Operation, values: Value) -> String {
        read(operation, values).unwrap_err().to_string()
    }

    fn needed(app: &App, channel: &str) -> Vec<Action> {
        let values = json!({"socket_id": "1.2", "channel_name": channel});
        let (request, _) = parse(app, Operation::ChannelAuth, &params(values), Some(&user("tom"))).unwrap();
        assert_eq!(request.conversation, Some(Pattern::Exact("chat.42".to_owned())));
        assert!(request.required_actions.iter().all(|need| need.conversation == request.conversation));
        request.required_actions.iter().map(|need| need.action).collect()
    }

    #[test]
    fn a_channel_needs_what_its_subscribers_can_do() {
        use Action::{Presence, Publish, Subscribe};
        assert_eq!(needed(&app(true), "private-chat.42"), [Subscribe, Publish]);
        assert_eq!(needed(&app(true), "private-cache-chat.42"), [Subscribe, Publish]);
        assert_eq!(needed(&app(true), "presence-chat.42"), [Subscribe, Publish, Presence]);
        assert_eq!(needed(&app(false), "private-chat.42"), [Subscribe]);
        assert_eq!(needed(&app(false), "presence-chat.42"), [Subscribe, Presence]);
    }

    #[test]
    fn what_others_see_comes_from_the_caller() {
        let mut tom = user("tom");
        tom.claims.insert("name".to_owned(), json!("Tom"));
        tom.claims.insert("admin".to_owned(), json!(true));
        let ask = |operation, values: Value| parse(&app(true), operation, &query(values), Some(&tom)).unwrap().1;
        let spoofed = json!({"socket_id": "1.2", "channel_name": "presence-a", "user_info": "{\"admin\":true}"});
        let SigningJob::ChannelAuth { data, .. } = ask(Operation::ChannelAuth, spoofed) else { unreachable!() };
        assert_eq!(data.unwrap(), r#"{"user_id":"tom","user_info":{"name":"Tom"}}"#);
        let SigningJob::UserAuth { data, .. } = ask(Operation::UserAuth, json!({"socket_id": "1.2"})) else {
            unreachable!()
        };
        assert_eq!(data, r#"{"id":"tom","user_info":{"name":"Tom"}}"#);
        let other = json!({"socket_id": "1.2", "user_id": "mary"});
        let SigningJob::UserAuth { data, .. } = ask(Operation::UserAuth, other) else { unreachable!() };
        assert_eq!(data, r#"{"id":"mary"}"#);
        let other = json!({"socket_id": "1.2", "channel_name": "presence-a", "user_id": "mary"});
        let SigningJob::ChannelAuth { data, .. } = ask(Operation::ChannelAuth, other) else { unreachable!() };
        assert_eq!(data.unwrap(), r#"{"user_id":"mary","user_info":{}}"#);
        tom.claims.insert("name".to_owned(), json!("x".repeat(1024)));
        let asked = params(json!({"socket_id": "1.2"}));
        let error = parse(&app(true), Operation::UserAuth, &asked, Some(&tom)).unwrap_err();
        assert!(error.to_string().contains("Pusher allows 1024"));
    }

    #[test]
    fn fields_are_checked() {
        let socket = json!("1.2");
        assert_eq!(error(Operation::ChannelAuth, json!({"channel_name": "private-a"})), "socket_id must be given");
        assert_eq!(error(Operation::ChannelAuth, json!({"socket_id": socket})), "channel_name must be given");
        for id in ["", "a:b", "a b", "汤", "*", &"x".repeat(129)] {
            let error = error(Operation::UserAuth, json!({"socket_id": socket, "user_id": id}));
            assert!(error.starts_with("user_id must be 1 to 128"), "{id:?}: {error}");
        }
        let number = error(Operation::UserAuth, json!({"socket_id": socket, "user_id": 12}));
        assert_eq!(number, "user_id must be a string, not a number");
        assert!(error(Operation::UserAuth, json!({"socket_id": socket, "user_info": {}})).starts_with("user_info"));
        let encrypted = json!({"socket_id": socket, "channel_name": "private-encrypted-a"});
        assert!(error(Operation::ChannelAuth, encrypted).contains("encryption_master_key"));
        let nobody = params(json!({"socket_id": "1.2"}));
        let nobody = parse(&app(true), Operation::UserAuth, &nobody, Some(&service("orders"))).unwrap_err();
        assert_eq!(nobody.to_string(), "user_id must be given: a service must name the client");
    }
}

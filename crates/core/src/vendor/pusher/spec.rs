//! The description of Pusher Channels.

use super::Channel;
use crate::crypto::mac::MacAlgorithm;
use crate::model::{Action, ActionSet, Pattern, check_identifier};
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::spec::{
    CompatRoute, CompatRoutes, ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec,
};
use crate::vendor::{Operation, pusher};

/// The description of Pusher Channels.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "Pusher",
        actions: ActionSet::of(&[Action::Login, Action::Subscribe, Action::Publish, Action::Presence]),
        conversations: ConversationNames::WithoutColon { except: "" },
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[CHANNEL_AUTH, USER_AUTH],
    compat: Some(CompatRoutes {
        routes: &[
            CompatRoute { path: "/pusher/auth", older_path: None, tag: "pusher-js", operation: CHANNEL_AUTH },
            CompatRoute { path: "/pusher/user-auth", older_path: None, tag: "pusher-js", operation: USER_AUTH },
            CompatRoute { path: "/broadcasting/auth", older_path: None, tag: "laravel-echo", operation: CHANNEL_AUTH },
            CompatRoute {
                path: "/broadcasting/user-auth",
                older_path: None,
                tag: "laravel-echo",
                operation: USER_AUTH,
            },
        ],
        prefix: "/pusher/",
        unknown: "There is no such path. Pusher's SDKs use /pusher/auth and /pusher/user-auth.",
        no_app: "No app serves this path: the configuration has no Pusher app, or it has several and `pusher_compat` \
                 in [server] is not set.",
        error_shape: ErrorShape::Problem,
        openapi: include_str!("openapi-compat.json"),
    }),
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "user_id",
    conversation_field: Some("channel_name"),
    login: LoginRequest { operation: "user-auth", fields: &[("socket_id", "1.1")] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the app's secret",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
        ban_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
        mute: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
        mute_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "PUSHER_SECRET",
        secret: "the secret of your app at Pusher",
    },
    openapi: include_str!("openapi.json"),
};

const CHANNEL_AUTH: OperationSpec =
    operation("channel-auth", pusher::Operation::ChannelAuth, &["socket_id", "channel_name", "user_id"]);
const USER_AUTH: OperationSpec = operation("user-auth", pusher::Operation::UserAuth, &["socket_id", "user_id"]);

const fn operation(name: &'static str, operation: pusher::Operation, fields: &'static [&'static str]) -> OperationSpec {
    OperationSpec { accepts_forms: true, ..OperationSpec::json(name, Operation::Pusher(operation), fields) }
}

/// Reads a conversation: the name of a channel without its kind, or with it.
fn parse_conversation(name: &str) -> Result<Pattern, String> {
    if let Ok(channel) = Channel::parse(name) {
        return Ok(Pattern::Exact(channel.conversation().to_owned()));
    }
    check_identifier(name, 200).map_err(|flaw| flaw.to_string())?;
    Pattern::parse(name).map_err(|flaw| flaw.to_string())
}

//! The description of Centrifugo.

use crate::crypto::mac::MacAlgorithm;
use crate::model::{Action, ActionSet};
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, centrifugo};

/// The description of Centrifugo.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "Centrifugo",
        actions: ActionSet::of(&[Action::Login, Action::Subscribe, Action::Publish]),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[
        operation("connection-token", centrifugo::Operation::ConnectionToken, &["user", "ttl"]),
        operation("subscription-token", centrifugo::Operation::SubscriptionToken, &["user", "channel", "ttl"]),
    ],
    compat: None,
    gates: Some(&centrifugo::proxy::GATES),
    error_shape: ErrorShape::Problem,
    client_field: "user",
    conversation_field: Some("channel"),
    login: LoginRequest { operation: "connection-token", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the server's token secret",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::not_restored(&[VendorEffect::Removed])),
        ban_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
        mute: Some(SanctionEffects::not_restored(&[])),
        mute_everywhere: Some(SanctionEffects::not_restored(&[])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "CENTRIFUGO_SECRET",
        secret: "the HMAC secret for tokens of your Centrifugo server",
    },
    openapi: include_str!("openapi.json"),
};

const fn operation(
    name: &'static str,
    operation: centrifugo::Operation,
    fields: &'static [&'static str],
) -> OperationSpec {
    OperationSpec::json(name, Operation::Centrifugo(operation), fields)
}

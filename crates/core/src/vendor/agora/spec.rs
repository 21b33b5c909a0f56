//! The description of Agora.

use super::request::GRANTS;
use crate::crypto::mac::MacAlgorithm;
use crate::model::Action;
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, agora};

/// The description of Agora.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "Agora",
        actions: GRANTS.with(Action::Login).with(Action::Join),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[
        operation("chat-token", agora::Operation::ChatToken),
        operation("rtm-token", agora::Operation::RtmToken),
        operation("rtc-token", agora::Operation::RtcToken),
    ],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "user_id",
    conversation_field: Some("channel"),
    login: LoginRequest { operation: "chat-token", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "a key from the certificate of the app",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::restored(&[VendorEffect::Removed])),
        ban_everywhere: Some(SanctionEffects::restored(&[VendorEffect::Deactivated, VendorEffect::LoggedOut])),
        mute: Some(SanctionEffects::restored(&[VendorEffect::Silenced])),
        mute_everywhere: Some(SanctionEffects::restored(&[VendorEffect::SilencedEverywhere])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "AGORA_CERTIFICATE",
        secret: "the certificate of your project at Agora: 32 hex digits",
    },
    openapi: include_str!("openapi.json"),
};

const fn operation(name: &'static str, operation: agora::Operation) -> OperationSpec {
    OperationSpec::json(name, Operation::Agora(operation), operation.fields())
}

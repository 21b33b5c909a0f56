//! The description of apps whose tokens are for any system.

use super::request::FIELDS;
use super::template::CHANNEL_ACTIONS;
use crate::crypto::mac::MacAlgorithm;
use crate::model::Action;
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::ModerationEffects;
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, jwt};

/// The description of apps whose tokens are for any system.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "JWT",
        actions: CHANNEL_ACTIONS.with(Action::Login),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[OperationSpec::json("token", Operation::Jwt(jwt::Operation::Token), &FIELDS)],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "user_id",
    conversation_field: Some("channel"),
    login: LoginRequest { operation: "token", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the secret of the app",
    effects: ModerationEffects::NONE,
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "JWT_SECRET",
        secret: "the secret that your system checks tokens with, at least 32 bytes",
    },
    openapi: include_str!("openapi.json"),
};

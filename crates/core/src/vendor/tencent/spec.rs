//! The description of Tencent.

use super::request::GRANTS;
use crate::crypto::mac::MacAlgorithm;
use crate::model::Action;
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, tencent};

/// The description of Tencent.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "Tencent",
        actions: GRANTS.with(Action::Login).with(Action::Join),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: true,
    },
    operations: &[
        operation("user-sig", tencent::Operation::UserSig),
        operation("private-map-key", tencent::Operation::PrivateMapKey),
    ],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "user_id",
    conversation_field: Some("room_id"),
    login: LoginRequest { operation: "user-sig", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the secret key of the app",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::not_restored(&[VendorEffect::Removed, VendorEffect::Silenced])),
        ban_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
        mute: Some(SanctionEffects::restored(&[VendorEffect::Silenced])),
        mute_everywhere: Some(SanctionEffects::restored(&[VendorEffect::SilencedEverywhere])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "TENCENT_SECRET",
        secret: "the SDKSecretKey of your app at Tencent Cloud",
    },
    openapi: include_str!("openapi.json"),
};

const fn operation(name: &'static str, operation: tencent::Operation) -> OperationSpec {
    OperationSpec::json(name, Operation::Tencent(operation), operation.fields())
}

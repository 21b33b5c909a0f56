//! The description of Stream.

use crate::crypto::mac::MacAlgorithm;
use crate::model::{Action, ActionSet};
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, stream};

/// The description of Stream.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "Stream",
        actions: ActionSet::of(&[Action::Login, Action::Join]),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[OperationSpec::json(
        "token",
        Operation::Stream(stream::Operation::Token),
        &["user_id", "call_cids", "ttl"],
    )],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "user_id",
    conversation_field: None,
    login: LoginRequest { operation: "token", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the app's secret",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::restored(&[VendorEffect::Removed, VendorEffect::Silenced])),
        ban_everywhere: Some(SanctionEffects::restored(&[VendorEffect::Deactivated, VendorEffect::TokensEnded])),
        mute: Some(SanctionEffects::restored(&[VendorEffect::Silenced])),
        mute_everywhere: Some(SanctionEffects::restored(&[VendorEffect::SilencedEverywhere])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "STREAM_SECRET",
        secret: "the secret of your app at Stream",
    },
    openapi: include_str!("openapi.json"),
};

//! The description of LiveKit.

use super::request::{FIELDS, GRANTS};
use crate::crypto::mac::MacAlgorithm;
use crate::model::Action;
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, livekit};

/// The description of LiveKit.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "LiveKit",
        actions: GRANTS.with(Action::Login).with(Action::Join),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[OperationSpec::json("token", Operation::LiveKit(livekit::Operation::Token), &FIELDS)],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "participant_identity",
    conversation_field: Some("room_name"),
    login: LoginRequest { operation: "token", fields: &[("room_name", "any")] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the secret of the app's API key",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::not_restored(&[VendorEffect::Removed])),
        ban_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::RemovedEverywhere])),
        mute: Some(SanctionEffects::restored(&[VendorEffect::Silenced])),
        mute_everywhere: Some(SanctionEffects::restored(&[VendorEffect::SilencedEverywhere])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "LIVEKIT_SECRET",
        secret: "the secret of an API key of your LiveKit project",
    },
    openapi: include_str!("openapi.json"),
};

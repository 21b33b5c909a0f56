//! The description of Ably.

use super::parse_channel;
use crate::crypto::mac::MacAlgorithm;
use crate::model::{Action, ActionSet};
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::spec::{AnswerForm, ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, ably};

/// The description of Ably.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "Ably",
        actions: ActionSet::CHANNEL_OPERATIONS.with(Action::Login),
        conversations: ConversationNames::Any,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[
        // All SDKs accept a token as text, also those that ask for JSON or MessagePack. Only newer SDKs know the media
        // type of a JWT.
        OperationSpec {
            answers: &[
                ("application/jwt", AnswerForm::Jwt),
                ("text/plain", AnswerForm::Text),
                ("application/json", AnswerForm::Text),
                ("application/x-msgpack", AnswerForm::Text),
            ],
            ..operation("token", ably::Operation::Token)
        },
        // SDKs that ask for MessagePack also read JSON, by the media type of the answer.
        OperationSpec {
            answers: &[("application/json", AnswerForm::Json), ("application/x-msgpack", AnswerForm::Json)],
            ..operation("token-request", ably::Operation::TokenRequest)
        },
    ],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Ably,
    client_field: "client_id",
    conversation_field: None,
    login: LoginRequest { operation: "token", fields: &[("capability", r#"{"*":["subscribe"]}"#)] },
    parse_conversation: parse_channel,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the secret of the app's API key",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::not_restored(&[VendorEffect::TokensEnded])),
        ban_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::TokensEnded])),
        mute: Some(SanctionEffects::not_restored(&[VendorEffect::TokensEnded])),
        mute_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::TokensEnded])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "ABLY_KEY",
        secret: "a complete API key of your app at Ably: appId.keyId:secret",
    },
    openapi: include_str!("openapi.json"),
};

const fn operation(name: &'static str, operation: ably::Operation) -> OperationSpec {
    let json = OperationSpec::json(name, Operation::Ably(operation), &["client_id", "capability", "ttl"]);
    OperationSpec { supports_get: true, accepts_forms: true, ..json }
}

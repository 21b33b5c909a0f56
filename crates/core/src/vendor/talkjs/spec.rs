//! The description of TalkJS.

use crate::crypto::mac::MacAlgorithm;
use crate::model::{Action, ActionSet};
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{AnswerForm, ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec};
use crate::vendor::{Operation, talkjs};

/// The description of TalkJS.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "TalkJS",
        actions: ActionSet::of(&[Action::Login, Action::AppToken]),
        conversations: ConversationNames::None,
        login_is_create: false,
        create_names_conversation: false,
    },
    operations: &[
        OperationSpec {
            supports_get: true,
            answers: &[("application/json", AnswerForm::Json), ("text/plain", AnswerForm::Text)],
            ..operation("token", talkjs::Operation::Token, &["user_id", "ttl"])
        },
        operation("signature", talkjs::Operation::Signature, &["user_id"]),
        operation("app-token", talkjs::Operation::AppToken, &[]),
    ],
    compat: None,
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "user_id",
    conversation_field: None,
    login: LoginRequest { operation: "token", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha256,
    key_title: "the app's secret key",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::restored(&[VendorEffect::Removed])),
        ban_everywhere: Some(SanctionEffects::restored(&[VendorEffect::RemovedEverywhere])),
        mute: Some(SanctionEffects::restored(&[VendorEffect::Silenced])),
        mute_everywhere: Some(SanctionEffects::restored(&[VendorEffect::SilencedEverywhere])),
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        // TalkJS has only logins.
        policy: "",
        variable: "TALKJS_SECRET_KEY",
        secret: "the secret key of your app at TalkJS",
    },
    openapi: include_str!("openapi.json"),
};

const fn operation(name: &'static str, operation: talkjs::Operation, fields: &'static [&'static str]) -> OperationSpec {
    OperationSpec::json(name, Operation::TalkJs(operation), fields)
}

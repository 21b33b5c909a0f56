//! The description of LeanCloud.

use super::{ACTIONS, DemoRoute};
use crate::crypto::mac::MacAlgorithm;
use crate::model::Action;
use crate::policy::{ConversationNames, VendorFeatures};
use crate::vendor::Operation;
use crate::vendor::effect::{ModerationEffects, SanctionEffects, VendorEffect};
use crate::vendor::params::parse_conversation;
use crate::vendor::spec::{
    AnswerForm, CompatRoute, CompatRoutes, ErrorShape, InitTemplate, LoginRequest, OperationSpec, VendorSpec,
};

/// The description of LeanCloud.
pub static SPEC: VendorSpec = VendorSpec {
    features: VendorFeatures {
        title: "LeanCloud",
        actions: ACTIONS,
        conversations: ConversationNames::WithoutColon { except: "_tmp:" },
        login_is_create: true,
        create_names_conversation: false,
    },
    operations: &[
        action(Action::Login, &["client_id"]),
        action(Action::Create, &["client_id", "members"]),
        action(Action::Join, &["client_id", "conv_id"]),
        action(Action::Leave, &["client_id", "conv_id"]),
        action(Action::Invite, &["client_id", "conv_id", "members"]),
        action(Action::Kick, &["client_id", "conv_id", "members"]),
        action(Action::History, &["client_id", "conv_id"]),
        action(Action::BlockClients, &["client_id", "conv_id", "members"]),
        action(Action::UnblockClients, &["client_id", "conv_id", "members"]),
        action(Action::BlockConversation, &["client_id", "conv_id"]),
        action(Action::UnblockConversation, &["client_id", "conv_id"]),
    ],
    compat: Some(CompatRoutes {
        routes: &[
            CompatRoute {
                path: "/sign2",
                older_path: None,
                tag: "demo-server",
                operation: demo(DemoRoute::Sign2, &[("application/json", AnswerForm::Compat)]),
            },
            function("/1.1/functions/sign2", None, DemoRoute::Sign2),
            function("/1.1/functions/signLogin", Some("/1.1/functions/connect"), DemoRoute::SignLogin),
            function(
                "/1.1/functions/signStartConversation",
                Some("/1.1/functions/startConversation"),
                DemoRoute::SignStartConversation,
            ),
            // The older version has this spelling mistake.
            function(
                "/1.1/functions/signOperateConversation",
                Some("/1.1/functions/oprateConversation"),
                DemoRoute::SignOperateConversation,
            ),
            function(
                "/1.1/functions/signQueryMessage",
                Some("/1.1/functions/queryMessage"),
                DemoRoute::SignQueryMessage,
            ),
            function("/1.1/functions/signBlockConversation", None, DemoRoute::SignBlockConversation),
            function("/1.1/functions/signBlockClient", None, DemoRoute::SignBlockClient),
        ],
        prefix: "/1.1/functions/",
        unknown: "There is no cloud function of this name. Accepted older names: connect, startConversation, \
                  oprateConversation, queryMessage. Known functions: sign2, signLogin, signStartConversation, \
                  signOperateConversation, signQueryMessage, signBlockConversation, signBlockClient.",
        no_app: "No app serves this path: the configuration has no LeanCloud app, or it has several and \
                 `leancloud_compat` in [server] is not set.",
        error_shape: ErrorShape::LeanCloud,
        openapi: include_str!("openapi-compat.json"),
    }),
    gates: None,
    error_shape: ErrorShape::Problem,
    client_field: "client_id",
    conversation_field: Some("conv_id"),
    login: LoginRequest { operation: "login", fields: &[] },
    parse_conversation,
    algorithm: MacAlgorithm::HmacSha1,
    key_title: "the app's master key",
    effects: ModerationEffects {
        ban: Some(SanctionEffects::restored(&[VendorEffect::Listed, VendorEffect::LoggedOut])),
        ban_everywhere: Some(SanctionEffects::not_restored(&[VendorEffect::LoggedOut])),
        mute: Some(SanctionEffects::restored(&[VendorEffect::Silenced])),
        mute_everywhere: None,
    },
    init: InitTemplate {
        signer: include_str!("init-signer.toml"),
        policy: include_str!("init-policy.toml"),
        variable: "LEANCLOUD_MASTER_KEY",
        secret: "the Master Key of your app at LeanCloud",
    },
    openapi: include_str!("openapi.json"),
};

const fn action(action: Action, fields: &'static [&'static str]) -> OperationSpec {
    OperationSpec::json(action.as_str(), Operation::LeanCloud(super::Operation::Action(action)), fields)
}

const fn demo(route: DemoRoute, answers: &'static [(&'static str, AnswerForm)]) -> OperationSpec {
    let operation = Operation::LeanCloud(super::Operation::Demo(route));
    OperationSpec { answers, ..OperationSpec::json(route.as_str(), operation, &[]) }
}

const fn function(path: &'static str, older_path: Option<&'static str>, route: DemoRoute) -> CompatRoute {
    let operation = demo(route, &[("application/json", AnswerForm::CloudFunction)]);
    CompatRoute { path, older_path, tag: "cloud-functions", operation }
}

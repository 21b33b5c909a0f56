//! The description of a vendor as data. The server and the command line read it instead of asking for the vendor.

use super::effect::ModerationEffects;
use super::gate::GateRoutes;
use crate::crypto::mac::MacAlgorithm;
use crate::model::{Pattern, Vendor, for_each_vendor};
use crate::policy::VendorFeatures;

/// Everything that the rest of the program needs to know about a vendor. Each vendor's folder has one, `SPEC`.
#[derive(Debug)]
pub struct VendorSpec {
    /// What the policy needs to know for its warnings, with the vendor's name for people.
    pub features: VendorFeatures,
    /// The operations, in the order of messages and of the documentation.
    pub operations: &'static [OperationSpec],
    /// The routes for clients that were written for another server.
    pub compat: Option<CompatRoutes>,
    /// The routes at which the vendor's server asks for decisions.
    pub gates: Option<&'static GateRoutes>,
    /// The shape of errors below `/v1/{app}/`.
    pub error_shape: ErrorShape,
    /// The field that names the client.
    pub client_field: &'static str,
    /// The field that names the conversation, if an operation takes one.
    pub conversation_field: Option<&'static str>,
    /// The request that every client may make for itself.
    pub login: LoginRequest,
    /// Reads the name of a conversation. The error completes "the name …".
    pub parse_conversation: fn(&str) -> Result<Pattern, String>,
    /// The algorithm of the signatures.
    pub algorithm: MacAlgorithm,
    /// What the key is, for people. It completes "signed with …".
    pub key_title: &'static str,
    /// What the vendor does to users who are banned or muted.
    pub effects: ModerationEffects,
    /// The parts of the files that the command `init` writes.
    pub init: InitTemplate,
    /// The descriptions of the operations in the OpenAPI document: a JSON object with one member per operation.
    pub openapi: &'static str,
}

/// An operation of a vendor's apps. Its route is `/v1/{app}/{name}`.
#[derive(Debug)]
pub struct OperationSpec {
    /// The last segment of the route, and the name on the command line.
    pub name: &'static str,
    /// The operation in the terms of the vendor.
    pub operation: Operation,
    /// Whether the route supports GET in addition to POST.
    pub supports_get: bool,
    /// Whether the body can be a form in addition to JSON.
    pub accepts_forms: bool,
    /// The forms of the answer, each with the media type that selects it.
    pub answers: &'static [(&'static str, AnswerForm)],
    /// The documented fields of the request.
    pub fields: &'static [&'static str],
}

/// Routes at fixed paths, for clients that were written for another server. One app of the vendor serves them all.
#[derive(Debug)]
pub struct CompatRoutes {
    /// The routes.
    pub routes: &'static [CompatRoute],
    /// The prefix of paths at which the clients expect nothing else.
    pub prefix: &'static str,
    /// The message for an unknown path with this prefix.
    pub unknown: &'static str,
    /// The message if no app serves the routes.
    pub no_app: &'static str,
    /// The shape of errors.
    pub error_shape: ErrorShape,
    /// The descriptions of the routes in the OpenAPI document: a JSON object with one member per path.
    pub openapi: &'static str,
}

/// A route at a fixed path.
#[derive(Debug)]
pub struct CompatRoute {
    /// The path.
    pub path: &'static str,
    /// The path of the route in an older version of the other server.
    pub older_path: Option<&'static str>,
    /// The group of the route in the OpenAPI document.
    pub tag: &'static str,
    /// The operation.
    pub operation: OperationSpec,
}

/// The form of the body of a successful answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// The complete result as JSON.
    Json,
    /// The token alone, as text.
    Text,
    /// The token alone, with the media type of a JWT.
    Jwt,
    /// The answer of LeanCloud's demo servers.
    Compat,
    /// The answer of LeanCloud's demo servers, as the result of a cloud function.
    CloudFunction,
}

/// The format of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// Problem details (RFC 9457).
    Problem,
    /// The format of Ably. Without it, Ably's SDKs retry without end.
    Ably,
    /// The format of LeanCloud, for clients of its demo servers.
    LeanCloud,
}

/// The request by which a client logs in.
#[derive(Debug)]
pub struct LoginRequest {
    /// The name of the operation.
    pub operation: &'static str,
    /// The fields that the request must name, each with an example.
    pub fields: &'static [(&'static str, &'static str)],
}

/// The parts of the files that the command `init` writes.
#[derive(Debug)]
pub struct InitTemplate {
    /// The app in `signer.toml`.
    pub signer: &'static str,
    /// The rules in `policy.toml`.
    pub policy: &'static str,
    /// The environment variable with the secret.
    pub variable: &'static str,
    /// The vendor's name for the secret.
    pub secret: &'static str,
}

macro_rules! define_specs {
    ($($(#[$doc:meta])* $vendor:ident => $folder:ident,)*) => {
        /// An operation in the terms of its vendor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$doc])* $vendor(super::$folder::Operation),)* }

        impl Vendor {
            /// Returns the description of the vendor.
            pub fn spec(self) -> &'static VendorSpec {
                match self { $(Vendor::$vendor => &super::$folder::SPEC,)* }
            }
        }
    };
}

for_each_vendor!(define_specs);

impl VendorSpec {
    /// Returns the operation with this name.
    pub fn operation(&self, name: &str) -> Option<&OperationSpec> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// Returns the field that names the conversation in a request for this action. Actions that only the policy knows
    /// have `conv_id`.
    pub fn conversation_field_of(&self, action: &str) -> &'static str {
        self.operation(action).and(self.conversation_field).unwrap_or("conv_id")
    }

    /// Returns true if a token of the vendor has a capability that the request names.
    pub fn takes_capability(&self) -> bool {
        self.operations.iter().any(|operation| operation.fields.contains(&"capability"))
    }

    /// Returns the names of the operations.
    pub fn operation_names(&self) -> Vec<&'static str> {
        self.operations.iter().map(|operation| operation.name).collect()
    }
}

impl OperationSpec {
    /// Creates an operation that is a POST of JSON and answers with JSON.
    pub const fn json(name: &'static str, operation: Operation, fields: &'static [&'static str]) -> OperationSpec {
        let answers = &[("application/json", AnswerForm::Json)];
        OperationSpec { name, operation, supports_get: false, accepts_forms: false, answers, fields }
    }

    /// Returns the methods of the route.
    pub fn methods(&self) -> &'static str {
        if self.supports_get { "GET, POST" } else { "POST" }
    }
}

impl ErrorShape {
    /// Returns the prefix of the responses of this shape in the OpenAPI document.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorShape::Problem => "problem",
            ErrorShape::Ably => "ably",
            ErrorShape::LeanCloud => "leancloud",
        }
    }
}

impl AnswerForm {
    /// Returns the media type of the answer.
    pub fn media_type(self) -> &'static str {
        match self {
            AnswerForm::Json | AnswerForm::Compat | AnswerForm::CloudFunction => "application/json",
            AnswerForm::Text => "text/plain",
            AnswerForm::Jwt => "application/jwt",
        }
    }
}

/// Returns the routes at fixed paths of all vendors.
pub fn compat_routes() -> impl Iterator<Item = (Vendor, &'static CompatRoutes)> {
    Vendor::ALL.iter().filter_map(|vendor| Some((*vendor, vendor.spec().compat.as_ref()?)))
}

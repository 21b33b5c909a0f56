//! Reads signing requests for the apps of each vendor and signs what the policy permits.
//!
//! Signing takes three visible steps. Each vendor's folder has one file for each step: `request` reads the request,
//! `message` builds the string to sign as a type, and the folder's `App` computes the MAC over that string. Everything
//! signed about people and conversations comes from the [`Permit`](crate::policy::Permit). Thus only what the policy decided can be signed.

pub mod ably;
pub mod agora;
mod app;
pub mod centrifugo;
mod effect;
mod foreign_token;
pub mod gate;
mod invalid_request;
pub mod jwt;
pub mod leancloud;
pub mod livekit;
pub mod moderation;
mod params;
mod path_segment;
pub mod pusher;
mod signed;
mod signing_input;
mod spec;
pub mod stream;
pub mod talkjs;
pub mod tencent;
#[cfg(test)]
mod tests;
mod variants;
mod vendor_app;
mod zlib;

pub use ably::Capability;
pub use app::{App, SigningJob, VendorRequest, operation, parse, parse_body, sign};
pub use effect::{ModerationEffects, SanctionEffects, VendorEffect};
pub use foreign_token::{ForeignToken, TokenPart};
pub use invalid_request::InvalidRequest;
pub use params::{Params, Ttl};
pub use path_segment::has_dot_segment;
pub use signed::{SignedResult, SignedText};
pub use signing_input::{Nonce, SigningInput};
pub use spec::{
    AnswerForm, CompatRoute, CompatRoutes, ErrorShape, InitTemplate, LoginRequest, Operation, OperationSpec,
    VendorSpec, compat_routes,
};
pub use variants::{ForeignRequest, KeyVariant, MacEncoding, MessageVariant, SignatureFormat};
pub use vendor_app::{TimestampUnit, VendorApp};

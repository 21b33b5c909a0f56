//! Reads signing requests for the apps of each vendor and signs what the policy permits.
//!
//! Signing takes three visible steps. Each vendor's folder has one file for each step: `request` reads the request,
//! `message` builds the string to sign as a type, and the folder's `App` computes the MAC over that string. Everything
//! signed about people and conversations comes from the [`Permit`](crate::policy::Permit). Thus only what the policy decided can be signed.

pub mod ably;
mod app;
mod invalid_request;
pub mod leancloud;
pub mod moderation;
mod moderation_api;
mod params;
mod path_segment;
mod signed;
mod signing_input;
pub mod talkjs;
#[cfg(test)]
mod tests;

pub use app::{App, Operation, SigningJob, VendorRequest, operation, parse, sign};
pub use invalid_request::InvalidRequest;
pub use moderation_api::ModerationApi;
pub use params::{Params, Ttl};
pub use path_segment::has_dot_segment;
pub use signed::SignedResult;
pub use signing_input::{Nonce, SigningInput};

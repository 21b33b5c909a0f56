//! The pure core: vectors, the policy against an independent model, the shipped policy, and collisions of signed strings.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collisions;
mod compressed_vectors;
mod jwt_vectors;
mod policy_oracle;
mod shipped_policy;
mod token_vectors;
mod vectors;

//! The apps of all vendors, their operations, and the choice of the vendor's code.

use std::sync::Arc;
use std::time::Duration;

use super::foreign_token::ForeignToken;
use super::gate::VendorGate;
use super::invalid_request::{InvalidRequest, wrong_permit_error};
use super::params::Params;
use super::signed::{SignedResult, SignedText};
use super::signing_input::Nonce;
use super::spec::{Operation, OperationSpec};
use super::variants::{ForeignRequest, KeyVariant, MessageVariant, SignatureFormat};
use super::vendor_app::{TimestampUnit, VendorApp};
use crate::crypto::mac::MacAlgorithm;
use crate::model::{Caller, Millis, SigningRequest, Vendor, for_each_vendor};
use crate::policy::Permit;
use crate::secret::Secret;

macro_rules! define_dispatch {
    ($($(#[$doc:meta])* $vendor:ident => $folder:ident,)*) => {
        /// A configured app of a vendor, with its keys.
        #[derive(Debug)]
        pub enum App { $($(#[$doc])* $vendor(super::$folder::App),)* }

        /// What to make from a permit, with everything that the policy does not decide.
        #[derive(Clone, Debug, PartialEq)]
        pub enum SigningJob { $($(#[$doc])* $vendor(super::$folder::SigningJob),)* }

        impl App {
            /// Returns the app's name in the configuration.
            pub fn name(&self) -> &Arc<str> {
                match self { $(App::$vendor(app) => app.name(),)* }
            }

            /// Returns the app's vendor.
            pub fn vendor(&self) -> Vendor {
                match self { $(App::$vendor(_) => Vendor::$vendor,)* }
            }

            /// Returns how long the vendor can accept what was signed. `None`: it has no end of its own.
            pub fn longest_validity(&self) -> Option<Duration> {
                match self { $(App::$vendor(app) => app.longest_validity(),)* }
            }

            /// Returns the id of the app at the vendor, if it is a part of the signed text.
            pub fn signed_app_id(&self) -> Option<&str> {
                match self { $(App::$vendor(app) => app.signed_app_id(),)* }
            }

            /// Returns the gates of the app, if its server asks at them.
            pub fn gate(&self) -> Option<&dyn VendorGate> {
                match self { $(App::$vendor(app) => app.gate(),)* }
            }

            /// Returns whether the signed text contains the client's roles, where other clients can read them.
            pub fn contains_roles(&self) -> bool {
                match self { $(App::$vendor(app) => app.contains_roles(),)* }
            }

            /// Returns the unit of the times that the operation signs. Another vendor's operation has milliseconds.
            pub fn time_unit(&self, operation: Operation) -> TimestampUnit {
                match (self, operation) {
                    $((App::$vendor(app), Operation::$vendor(operation)) => app.time_unit(operation),)*
                    _ => TimestampUnit::Milliseconds,
                }
            }

            /// Returns the index (from 0) of the app's key that made this MAC of this message, or `None` if no key did.
            /// Compares in constant time.
            pub fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
                match self { $(App::$vendor(app) => app.verify(message, mac),)* }
            }

            /// Rebuilds the signed text of an answer to this request, with the code that signs. Returns `None` if the
            /// answer cannot come from this app.
            pub fn signed_text(&self, request: &VendorRequest, answer: &str) -> Option<SignedText> {
                match (self, &request.signing_job) {
                    $((App::$vendor(app), SigningJob::$vendor(job)) => {
                        app.signed_text(&request.signing_request, job, answer)
                    })*
                    _ => None,
                }
            }

            /// Returns the form of the signature. `None` means that the answer is a token, or that the job is for another
            /// vendor.
            pub fn signature_format(&self, signing_job: &SigningJob) -> Option<SignatureFormat> {
                match (self, signing_job) {
                    $((App::$vendor(app), SigningJob::$vendor(job)) => app.signature_format(job),)*
                    _ => None,
                }
            }

            /// Returns the text under the signature, and the texts that other programs sign by mistake.
            pub fn message_variants(
                &self,
                signing_job: &SigningJob,
                foreign: &ForeignRequest<'_>,
                key: &Secret,
            ) -> Vec<MessageVariant> {
                match (self, signing_job) {
                    $((App::$vendor(app), SigningJob::$vendor(job)) => app.message_variants(job, foreign, key),)*
                    _ => Vec::new(),
                }
            }

            /// Returns the key that signs, from a configured key, and the keys that other programs use by mistake.
            pub fn key_variants(&self, key: &Secret) -> Vec<KeyVariant> {
                match self { $(App::$vendor(app) => app.key_variants(key),)* }
            }

            /// Reads a token that another program made.
            ///
            /// # Errors
            /// Returns what the token is not, in words that complete "it is not …".
            pub fn read_token<'a>(&self, text: &'a str) -> Result<ForeignToken<'a>, &'static str> {
                match self { $(App::$vendor(app) => app.read_token(text),)* }
            }

            /// Returns the algorithm in the header of the app's tokens, if they have a header.
            pub fn token_algorithm(&self) -> Option<&'static str> {
                match self { $(App::$vendor(app) => app.token_algorithm(),)* }
            }

            /// Returns the MAC of a text with this key.
            pub fn mac(&self, algorithm: MacAlgorithm, key: &Secret, message: &str) -> Vec<u8> {
                match self { $(App::$vendor(app) => app.mac(algorithm, key, message),)* }
            }

            /// Describes how a token differs from the expected token, apart from its signature and algorithm. `key` is
            /// the configured key that signed it, or the first one.
            pub fn token_differences(
                &self,
                signing_job: &SigningJob,
                foreign: &ForeignRequest<'_>,
                token: &ForeignToken<'_>,
                key: &Secret,
            ) -> Vec<String> {
                match (self, signing_job) {
                    $((App::$vendor(app), SigningJob::$vendor(job)) => app.token_differences(job, foreign, token, key),)*
                    _ => Vec::new(),
                }
            }

            fn parse(
                &self,
                operation: &OperationSpec,
                params: &Params,
                caller: Option<&Caller>,
            ) -> Result<VendorRequest, InvalidRequest> {
                match (self, operation.operation) {
                    $((App::$vendor(app), Operation::$vendor(operation)) => {
                        let (signing_request, job) = app.parse(operation, params, caller)?;
                        Ok(VendorRequest { signing_request, signing_job: SigningJob::$vendor(job) })
                    })*
                    _ => {
                        let message = format!("must be an operation of this app, not {}", operation.name);
                        Err(InvalidRequest::new("action", message))
                    }
                }
            }

            fn parse_body(&self, operation: &OperationSpec, body: &[u8], caller: &Caller) -> Option<VendorRequest> {
                match (self, operation.operation) {
                    $((App::$vendor(app), Operation::$vendor(operation)) => {
                        let (signing_request, job) = app.parse_body(operation, body, caller)?;
                        Some(VendorRequest { signing_request, signing_job: SigningJob::$vendor(job) })
                    })*
                    _ => None,
                }
            }

            fn sign(
                &self,
                permit: &Permit,
                signing_job: &SigningJob,
                now: Millis,
                nonce: &Nonce,
            ) -> Result<SignedResult, InvalidRequest> {
                match (self, signing_job) {
                    $((App::$vendor(app), SigningJob::$vendor(job)) => app.sign(permit, job, now, nonce),)*
                    _ => Err(wrong_permit_error("this kind of answer")),
                }
            }
        }
    };
}

for_each_vendor!(define_dispatch);

/// A parsed request: what the policy must decide, and what to make if the policy allows it.
#[derive(Clone, Debug)]
pub struct VendorRequest {
    /// The question for the policy.
    pub signing_request: SigningRequest,
    /// The job for [`sign`], which also needs the permit.
    pub signing_job: SigningJob,
}

/// Returns the operation of this name, if the app's vendor has it.
pub fn operation(app: &App, name: &str) -> Option<&'static OperationSpec> {
    app.vendor().spec().operation(name)
}

/// Reads a request for `app`. `caller` is `None` for an operator at the command line.
///
/// # Errors
/// Returns the first error found if a parameter is invalid.
pub fn parse(
    app: &App,
    operation: &OperationSpec,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<VendorRequest, InvalidRequest> {
    app.parse(operation, params, caller)
}

/// Reads a request for `app` directly from the JSON of its body. Returns `None` if this is not possible, or if the body
/// is not valid. Read the parameters of the body with [`parse`] then, which finds the same request or the error.
pub fn parse_body(app: &App, operation: &OperationSpec, body: &[u8], caller: &Caller) -> Option<VendorRequest> {
    app.parse_body(operation, body, caller)
}

/// Signs what the permit allows, at the time `at`. `nonce` is used only if the vendor's message contains a nonce.
///
/// # Errors
/// Returns an error if the permit is for another app or does not cover the job, or if the result is too large for the
/// vendor.
pub fn sign(
    app: &App,
    permit: &Permit,
    signing_job: &SigningJob,
    now: Millis,
    nonce: &Nonce,
) -> Result<SignedResult, InvalidRequest> {
    if permit.request().vendor != app.vendor() || permit.request().app != *app.name() {
        return Err(wrong_permit_error("this app"));
    }
    app.sign(permit, signing_job, now, nonce)
}

//! The interface between the code of a vendor and the rest of the program.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::foreign_token::ForeignToken;
use super::gate::VendorGate;
use super::invalid_request::InvalidRequest;
use super::params::Params;
use super::signed::{SignedResult, SignedText};
use super::signing_input::Nonce;
use super::variants::{self, ForeignRequest, KeyVariant, MessageVariant, SignatureFormat};
use crate::crypto::mac::MacAlgorithm;
use crate::model::{Caller, Millis, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

/// The code of a vendor. The type `App` in each vendor's folder implements it.
pub trait VendorApp: fmt::Debug {
    /// The operations of the vendor.
    type Operation: Copy;
    /// What to make from a permit, with everything that the policy does not decide.
    type SigningJob;

    /// Returns the app's name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// Returns how long the vendor can accept what was signed. `None`: it has no end of its own.
    fn longest_validity(&self) -> Option<Duration> {
        None
    }

    /// Returns the id of the app at the vendor, if it is a part of the signed text.
    fn signed_app_id(&self) -> Option<&str> {
        None
    }

    /// Returns the gates of the app, if its server asks at them.
    fn gate(&self) -> Option<&dyn VendorGate> {
        None
    }

    /// Returns whether the signed text contains the client's roles, where other clients can read them.
    fn contains_roles(&self) -> bool {
        false
    }

    /// Returns the unit of the times that the operation signs.
    fn time_unit(&self, operation: Self::Operation) -> TimestampUnit;

    /// Reads a request.
    ///
    /// # Errors
    /// Returns the first error found if a parameter is invalid.
    fn parse(
        &self,
        operation: Self::Operation,
        params: &Params,
        caller: Option<&Caller>,
    ) -> Result<(SigningRequest, Self::SigningJob), InvalidRequest>;

    /// Reads a request directly from the JSON of its body. Returns `None` if the operation has no such reader, or if the
    /// body is not valid. [`parse`](Self::parse) then reads the body again, and finds the same request or the error.
    fn parse_body(
        &self,
        _operation: Self::Operation,
        _body: &[u8],
        _caller: &Caller,
    ) -> Option<(SigningRequest, Self::SigningJob)> {
        None
    }

    /// Signs what the permit allows.
    ///
    /// # Errors
    /// Returns an error if the permit does not cover the job, or if the result is too large for the vendor.
    fn sign(
        &self,
        permit: &Permit,
        signing_job: &Self::SigningJob,
        now: Millis,
        nonce: &Nonce,
    ) -> Result<SignedResult, InvalidRequest>;

    /// Returns the index (from 0) of the app's key that made this MAC of this message, or `None` if no key did.
    /// Compares in constant time.
    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize>;

    /// Rebuilds the signed text of an answer to this request, with the code that signs. Returns `None` if the answer
    /// cannot come from this app.
    fn signed_text(
        &self,
        signing_request: &SigningRequest,
        signing_job: &Self::SigningJob,
        answer: &str,
    ) -> Option<SignedText>;

    /// Returns the form of the signature. `None` means that the answer is a token.
    fn signature_format(&self, _signing_job: &Self::SigningJob) -> Option<SignatureFormat> {
        None
    }

    /// Returns the text under the signature, and the texts that other programs sign by mistake. Tokens have none.
    fn message_variants(
        &self,
        _signing_job: &Self::SigningJob,
        _foreign: &ForeignRequest<'_>,
        _key: &Secret,
    ) -> Vec<MessageVariant> {
        Vec::new()
    }

    /// Returns the key that signs, from a configured key, and the keys that other programs use by mistake.
    fn key_variants(&self, key: &Secret) -> Vec<KeyVariant> {
        variants::key_variants(key, None)
    }

    /// Reads a token that another program made.
    ///
    /// # Errors
    /// Returns what the token is not, in words that complete "it is not …".
    fn read_token<'a>(&self, text: &'a str) -> Result<ForeignToken<'a>, &'static str> {
        ForeignToken::parse(text).ok_or("a JSON Web Token: three parts in base64url, the first two with JSON objects")
    }

    /// Returns the algorithm in the header of the app's tokens, if they have a header.
    fn token_algorithm(&self) -> Option<&'static str> {
        Some("HS256")
    }

    /// Returns the MAC of a text with this key.
    fn mac(&self, algorithm: MacAlgorithm, key: &Secret, message: &str) -> Vec<u8> {
        algorithm.mac(key.expose(), message.as_bytes())
    }

    /// Describes how a token differs from the expected token, apart from its signature and algorithm. `key` is the
    /// configured key that signed it, or the first one.
    fn token_differences(
        &self,
        _signing_job: &Self::SigningJob,
        _foreign: &ForeignRequest<'_>,
        _token: &ForeignToken<'_>,
        _key: &Secret,
    ) -> Vec<String> {
        Vec::new()
    }
}

/// The unit of timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampUnit {
    /// The unit is milliseconds.
    #[default]
    Milliseconds,
    /// The unit is seconds.
    Seconds,
}

impl TimestampUnit {
    /// Returns a time as a number in this unit.
    pub fn number(self, at: Millis) -> u64 {
        match self {
            TimestampUnit::Milliseconds => at.0,
            TimestampUnit::Seconds => at.seconds(),
        }
    }

    /// Returns the time of a number in this unit.
    pub fn time(self, number: u64) -> Millis {
        match self {
            TimestampUnit::Milliseconds => Millis(number),
            TimestampUnit::Seconds => Millis::from_seconds(number),
        }
    }
}

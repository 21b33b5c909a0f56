//! Gates: the routes at which a vendor's own server asks what its users may do. Nothing is signed.
//!
//! The server authenticates itself with a key. It names the user itself, except at the start of a connection, when it
//! forwards the credential of the user.

use http::HeaderName;
use serde_json::{Map, Value};

use crate::model::Millis;

/// The description of the gates of a vendor.
#[derive(Debug)]
pub struct GateRoutes {
    /// The ends of the routes, `/v1/{app}/{name}`.
    pub names: &'static [&'static str],
    /// The descriptions of the routes in the OpenAPI document: a JSON object with one member per name.
    pub openapi: &'static str,
}

/// The gates of an app.
pub trait VendorGate: Sync {
    /// Returns the header with the key.
    fn key_header(&self) -> HeaderName;

    /// Returns whether this is a key of the app. Compares in constant time.
    fn accepts_key(&self, key: &[u8]) -> bool;

    /// Reads the question that the vendor's server asks at the route with this name.
    ///
    /// # Errors
    /// Returns the flaw of the question, in a sentence.
    fn read(&self, name: &str, body: &Map<String, Value>) -> Result<GateQuestion, String>;

    /// Returns the body of the answer to a question at the route with this name.
    fn answer(&self, name: &str, answer: &GateAnswer<'_>, now: Millis) -> Value;
}

/// A question of a vendor's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateQuestion {
    /// May the user log in? The headers of the request have the credential of the user, or the body had this token.
    Login {
        /// The bearer token from the body.
        token: Option<String>,
    },
    /// May this user do this? The vendor's server vouches for the user.
    Action {
        /// The user.
        user: String,
        /// The name of the action.
        action: String,
        /// The conversation, if the action is about one.
        conversation: Option<String>,
    },
}

/// The answer to a question.
#[derive(Clone, Copy, Debug)]
pub enum GateAnswer<'a> {
    /// Yes. `claims` are the claims of the user's token, if the user was authenticated.
    Allowed {
        /// The user.
        user: &'a str,
        /// The claims.
        claims: Option<&'a Map<String, Value>>,
    },
    /// No, for this reason that the user may know.
    Denied(&'a str),
    /// The user has no valid credential.
    Unauthenticated,
    /// The question has a mistake.
    Invalid(&'a str),
    /// There is no answer now.
    Unavailable,
}

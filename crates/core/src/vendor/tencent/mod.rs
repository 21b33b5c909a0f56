//! Tencent Cloud Chat and TRTC: UserSigs for users, and PrivateMapKeys for rooms. Both are HMAC-SHA256 with the app's
//! secret over lines of text, in a compressed document.

mod message;
mod moderation;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::foreign_token::TokenPart;
use super::invalid_request::{InvalidRequest, check_permit, missing_key_error, wrong_permit_error};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, ForeignToken, Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::mac::HmacSha256;
use crate::crypto::{base64_decode, base64url, constant_time_eq};
use crate::model::{Action, ActionSet, Caller, Millis, Pattern, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::{Room, RoomTicket, UserSigParts, UserSigText, check_user, decode};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of a Tencent app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The UserSig of a user.
    UserSig,
    /// The PrivateMapKey of a user for one room.
    PrivateMapKey,
}

impl Operation {
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Operation::UserSig => &["user_id", "ttl"],
            Operation::PrivateMapKey => &["user_id", "room_id", "ttl"],
        }
    }
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningJob {
    /// The operation.
    pub operation: Operation,
    /// The lifetime, in seconds.
    pub ttl_seconds: u64,
}

/// The administrator that every app has at first. Administrators can do everything, so no caller can be one.
pub const DEFAULT_ADMINISTRATOR: &str = "administrator";

/// A Tencent app.
pub struct App {
    name: Arc<str>,
    sdk_app_id: u32,
    secrets: Vec<HmacSha256>,
    administrators: Vec<String>,
    ttl: Ttl,
}

impl App {
    /// Creates an app with its id, its secrets, and the ids of its administrators in addition to `administrator`. The
    /// first secret signs. All secrets verify.
    pub fn new(name: Arc<str>, sdk_app_id: u32, secrets: &[Secret], administrators: Vec<String>, ttl: Ttl) -> App {
        let secrets = secrets.iter().map(|secret| HmacSha256::new(secret.expose())).collect();
        App { name, sdk_app_id, secrets, administrators, ttl }
    }

    /// Returns the app's id at Tencent.
    pub fn sdk_app_id(&self) -> u32 {
        self.sdk_app_id
    }

    /// Returns whether this is an account of an administrator. Capital letters make no difference.
    pub fn is_administrator(&self, user: &str) -> bool {
        let administrators = self.administrators.iter().map(String::as_str).chain([DEFAULT_ADMINISTRATOR]);
        administrators.into_iter().any(|administrator| administrator.eq_ignore_ascii_case(user))
    }

    /// Returns the ticket for the room of the permit, in Base64.
    fn ticket(&self, permit: &Permit, expires_at: u64) -> Result<String, InvalidRequest> {
        let request = permit.request();
        let name =
            request.conversation.as_ref().and_then(Pattern::exact).ok_or_else(|| wrong_permit_error("a room"))?;
        let room = Room::parse(name)?;
        let own = permit.granted().iter().filter(|grant| grant.resource.exact() == Some(name));
        let granted = own.fold(ActionSet::EMPTY, |all, grant| all.union(grant.operations));
        let (user, sdk_app_id) = (&request.client, self.sdk_app_id);
        let ticket = RoomTicket { user, sdk_app_id, room: &room, expires_at, privileges: privileges(granted) };
        Ok(ticket.to_base64())
    }
}

/// Returns the bits of a ticket: to enter the room, and what is granted there. Audio, video and the shared screen have a
/// bit each for sending and for receiving.
fn privileges(granted: ActionSet) -> u32 {
    const ENTER: u32 = 2;
    let bits = [(Action::Create, 1), (Action::Publish, 4 | 16 | 64), (Action::Subscribe, 8 | 32 | 128)];
    bits.into_iter().filter(|(action, _)| granted.contains(*action)).fold(ENTER, |all, (_, bits)| all | bits)
}

/// Returns whether the bytes of a ticket are for this user in this room.
fn is_ticket_for(ticket: &[u8], user: &str, room: &str) -> bool {
    let Ok(room) = Room::parse(room) else { return false };
    let right = RoomTicket { user, sdk_app_id: 0, room: &room, expires_at: 0, privileges: 0 };
    let Some(right) = base64_decode(&right.to_base64()) else { return false };
    // After the user there are the id of the app, the number of the room, the expiry, the privileges and the kind of
    // account, with four bytes each.
    let start = 3 + user.len();
    let same = |range: std::ops::RangeFrom<usize>| ticket.get(range.clone()) == right.get(range);
    let part = |from: usize, to: usize| ticket.get(from..to) == right.get(from..to);
    part(0, start) && part(start + 4, start + 8) && same(start + 20..)
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn longest_validity(&self) -> Option<Duration> {
        Some(self.ttl.longest())
    }

    fn time_unit(&self, _: Operation) -> TimestampUnit {
        TimestampUnit::Seconds
    }

    fn parse(
        &self,
        operation: Operation,
        params: &Params,
        caller: Option<&Caller>,
    ) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        request::parse(self, operation, params, caller)
    }

    fn sign(
        &self,
        permit: &Permit,
        SigningJob { operation, ttl_seconds }: &SigningJob,
        now: Millis,
        _: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        let (issued_at, user) = (now.seconds(), permit.request().client.as_str());
        let expires_at = issued_at.saturating_add(*ttl_seconds);
        let ticket = match operation {
            Operation::UserSig => {
                check_permit(permit, Action::Login)?;
                None
            }
            Operation::PrivateMapKey => {
                check_permit(permit, Action::Join)?;
                Some(self.ticket(permit, expires_at)?)
            }
        };
        let sdk_app_id = self.sdk_app_id;
        let parts = UserSigParts { user, sdk_app_id, issued_at, ttl_seconds: *ttl_seconds, ticket: ticket.as_deref() };
        let key = self.secrets.first().ok_or_else(missing_key_error)?;
        let document = parts.document(&key.mac(parts.text().as_str().as_bytes()));
        let (user_sig, user_id) = (message::encode(&document), user.to_owned());
        Ok(SignedResult::UserSig { user_sig, user_id, sdk_app_id, expires_at })
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.secrets.iter().position(|key| constant_time_eq(&key.mac(message.as_bytes()), mac))
    }

    fn read_token<'a>(&self, text: &'a str) -> Result<ForeignToken<'a>, &'static str> {
        const FORM: &str = "a UserSig: a compressed JSON object in Base64, with `*`, `-` and `_` for `+`, `/` and `=`";
        let document = decode(text).ok_or(FORM)?;
        let message = message::text_of(&document).ok_or("a UserSig: a part of its document is missing")?.to_string();
        let mac = document.get("TLS.sig").and_then(Value::as_str).and_then(base64_decode);
        let signature = base64url(&mac.ok_or("a UserSig: its `TLS.sig` is not Base64")?);
        Ok(ForeignToken { text, message, signature, header: TokenPart::default(), claims: TokenPart(document) })
    }

    fn token_algorithm(&self) -> Option<&'static str> {
        None
    }

    fn token_differences(
        &self,
        SigningJob { ttl_seconds, .. }: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        _: &Secret,
    ) -> Vec<String> {
        variants::differences(self, *ttl_seconds, foreign, token)
    }

    fn signed_text(&self, _: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        struct Answer {
            user_sig: String,
        }
        let document = decode(&serde_json::from_str::<Answer>(answer).ok()?.user_sig)?;
        let mac = base64_decode(document.get("TLS.sig")?.as_str()?)?;
        Some(SignedText { text: message::text_of(&document)?.to_string(), mac, token: None })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("sdk_app_id", &self.sdk_app_id).finish_non_exhaustive()
    }
}

//! The moderation APIs of all vendors: their limits, their credentials and their answers.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::moderation::{PermanentFailure, ResponseClass, VendorCall, classify_status};
use super::{ably, leancloud, talkjs};
use crate::model::{Millis, Vendor};

/// The credentials of an app for the vendor's moderation API.
#[derive(Debug)]
pub enum ModerationApi {
    /// The credentials for LeanCloud.
    LeanCloud(leancloud::ModerationApi),
    /// The credentials for TalkJS.
    TalkJs(talkjs::ModerationApi),
    /// The credentials for Ably.
    Ably(ably::ModerationApi),
}

impl ModerationApi {
    /// Returns the vendor.
    pub fn vendor(&self) -> Vendor {
        match self {
            ModerationApi::LeanCloud(_) => Vendor::LeanCloud,
            ModerationApi::TalkJs(_) => Vendor::TalkJs,
            ModerationApi::Ably(_) => Vendor::Ably,
        }
    }

    /// Returns how many requests a second the vendor accepts from an app, and how many at once after a quiet time.
    pub fn rate(&self) -> (u32, u32) {
        match self {
            ModerationApi::LeanCloud(_) => leancloud::ModerationApi::RATE,
            ModerationApi::TalkJs(_) => talkjs::ModerationApi::RATE,
            ModerationApi::Ably(_) => ably::ModerationApi::RATE,
        }
    }

    /// Returns the headers of a request that is sent at the time `now`.
    ///
    /// # Errors
    /// Returns an error if a header cannot contain a configured id or key.
    pub fn headers(&self, call: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let mut headers = match self {
            ModerationApi::LeanCloud(moderator) => moderator.credentials()?,
            ModerationApi::TalkJs(moderator) => moderator.credentials(now)?,
            ModerationApi::Ably(moderator) => moderator.credentials(call.key)?,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    /// Classifies an answer.
    pub fn classify_response(
        &self,
        call: &VendorCall,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ResponseClass {
        let heard = match (self, classify_status(status, headers, body)) {
            (ModerationApi::Ably(_), ResponseClass::Done) => ably::classify_revocation(body),
            (ModerationApi::Ably(_), ResponseClass::NotFound) => {
                ResponseClass::Permanent("it does not know the API key".to_owned())
            }
            (_, heard) => heard,
        };
        if call.is_optional && matches!(heard, ResponseClass::Permanent(_)) { ResponseClass::NotFound } else { heard }
    }
}

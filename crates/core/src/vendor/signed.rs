//! The answers to signing requests.

use std::fmt;

use super::ably::TokenRequest;
use super::leancloud::StringToSign;
use super::signing_input::JsonObject;
use super::spec::AnswerForm;
use crate::crypto::base64url_decode;

/// A signed result, ready to send. `Debug` shows only its kind.
#[derive(Clone, PartialEq, Eq)]
pub enum SignedResult {
    /// A LeanCloud signature for an action.
    Signature {
        /// The HMAC-SHA1 in lower-case hex.
        signature: String,
        /// The time in the unit of the app: milliseconds or seconds.
        timestamp: u64,
        /// The signed nonce.
        nonce: String,
        /// The signed text. The answers of LeanCloud's demo servers contain it.
        message: StringToSign,
    },
    /// A TalkJS signature of a user id.
    UserSignature {
        /// The signed user id.
        user_id: String,
        /// The HMAC-SHA256 in lower-case hex.
        signature: String,
    },
    /// A JSON Web Token of TalkJS or Ably.
    Token {
        /// The token.
        token: String,
        /// The expiry time in Unix seconds.
        expires_at: u64,
    },
    /// A JSON Web Token with the name of its user, for clients that need both.
    UserToken {
        /// The token.
        token: String,
        /// The user.
        user_id: String,
        /// The expiry time in Unix seconds.
        expires_at: u64,
    },
    /// A JSON Web Token with the address of the server, as LiveKit's SDKs expect it.
    ParticipantToken {
        /// The address of the server.
        server_url: String,
        /// The token.
        token: String,
    },
    /// The authorization of a connection to subscribe to a Pusher channel.
    ChannelAuth {
        /// The key of the app, `:` and the HMAC-SHA256 in lower-case hex.
        auth: String,
        /// The signed JSON about the user, for a presence channel.
        channel_data: Option<String>,
        /// The key of an encrypted channel, in Base64.
        shared_secret: Option<String>,
    },
    /// The sign-in of a user on a connection to Pusher.
    UserAuth {
        /// The key of the app, `:` and the HMAC-SHA256 in lower-case hex.
        auth: String,
        /// The signed JSON about the user.
        user_data: String,
    },
    /// A UserSig of Tencent Cloud, with everything that its SDKs need to log in.
    UserSig {
        /// The UserSig.
        user_sig: String,
        /// The user.
        user_id: String,
        /// The id of the app at Tencent.
        sdk_app_id: u32,
        /// The expiry time in Unix seconds.
        expires_at: u64,
    },
    /// An Ably token request, which Ably exchanges for a token.
    TokenRequest(TokenRequest),
}

impl SignedResult {
    /// Returns the answer as JSON.
    pub fn to_json(&self) -> String {
        match self {
            SignedResult::Signature { signature, timestamp, nonce, .. } => JsonObject::new()
                .string("signature", signature)
                .number("timestamp", *timestamp)
                .string("nonce", nonce)
                .finish(),
            SignedResult::UserSignature { user_id, signature } => {
                JsonObject::new().string("user_id", user_id).string("signature", signature).finish()
            }
            SignedResult::Token { token, expires_at } => {
                JsonObject::new().string("token", token).number("expires_at", *expires_at).finish()
            }
            SignedResult::UserToken { token, user_id, expires_at } => JsonObject::new()
                .string("token", token)
                .string("user_id", user_id)
                .number("expires_at", *expires_at)
                .finish(),
            SignedResult::ParticipantToken { server_url, token } => {
                JsonObject::new().string("server_url", server_url).string("participant_token", token).finish()
            }
            SignedResult::ChannelAuth { auth, channel_data, shared_secret } => {
                let mut object = JsonObject::new().string("auth", auth);
                for (name, value) in [("channel_data", channel_data), ("shared_secret", shared_secret)] {
                    if let Some(value) = value {
                        object = object.string(name, value);
                    }
                }
                object.finish()
            }
            SignedResult::UserAuth { auth, user_data } => {
                JsonObject::new().string("auth", auth).string("user_data", user_data).finish()
            }
            SignedResult::UserSig { user_sig, user_id, sdk_app_id, expires_at } => JsonObject::new()
                .string("user_id", user_id)
                .string("user_sig", user_sig)
                .number("sdk_app_id", u64::from(*sdk_app_id))
                .number("expires_at", *expires_at)
                .finish(),
            SignedResult::TokenRequest(request) => request.to_json(),
        }
    }

    /// Returns the body of the answer in this form. An answer without a token is always JSON.
    pub fn body(&self, form: AnswerForm) -> String {
        match (form, self.token()) {
            (AnswerForm::Text | AnswerForm::Jwt, Some(token)) => token.to_owned(),
            (AnswerForm::Compat, _) => self.to_compat_json(),
            (AnswerForm::CloudFunction, _) => format!("{{\"result\":{}}}", self.to_compat_json()),
            (AnswerForm::Json | AnswerForm::Text | AnswerForm::Jwt, _) => self.to_json(),
        }
    }

    /// Returns the answer in the form of LeanCloud's demo servers, with the signed text.
    pub fn to_compat_json(&self) -> String {
        match self {
            SignedResult::Signature { signature, timestamp, nonce, message } => JsonObject::new()
                .string("nonce", nonce)
                .number("timestamp", *timestamp)
                .string("signature", signature)
                .string("msg", message.as_str())
                .finish(),
            _ => self.to_json(),
        }
    }

    /// Returns the token alone, for an answer in plain text.
    pub fn token(&self) -> Option<&str> {
        match self {
            SignedResult::Token { token, .. }
            | SignedResult::UserToken { token, .. }
            | SignedResult::ParticipantToken { token, .. }
            | SignedResult::UserSig { user_sig: token, .. } => Some(token),
            SignedResult::Signature { .. }
            | SignedResult::UserSignature { .. }
            | SignedResult::ChannelAuth { .. }
            | SignedResult::UserAuth { .. }
            | SignedResult::TokenRequest(_) => None,
        }
    }

    /// Returns the signed nonce, if there is one.
    pub fn nonce(&self) -> Option<&str> {
        match self {
            SignedResult::Signature { nonce, .. } => Some(nonce),
            SignedResult::TokenRequest(request) => Some(&request.params.nonce),
            SignedResult::UserSignature { .. }
            | SignedResult::Token { .. }
            | SignedResult::UserToken { .. }
            | SignedResult::ParticipantToken { .. }
            | SignedResult::UserSig { .. }
            | SignedResult::ChannelAuth { .. }
            | SignedResult::UserAuth { .. } => None,
        }
    }
}

impl fmt::Debug for SignedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignedResult::Signature { .. } => "Signature(…)",
            SignedResult::UserSignature { .. } => "UserSignature(…)",
            SignedResult::Token { .. } => "Token(…)",
            SignedResult::UserToken { .. } => "UserToken(…)",
            SignedResult::ParticipantToken { .. } => "ParticipantToken(…)",
            SignedResult::UserSig { .. } => "UserSig(…)",
            SignedResult::ChannelAuth { .. } => "ChannelAuth(…)",
            SignedResult::UserAuth { .. } => "UserAuth(…)",
            SignedResult::TokenRequest(_) => "TokenRequest(…)",
        })
    }
}

/// The text under the signature of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedText {
    /// The text.
    pub text: String,
    /// The MAC that the answer contains for it.
    pub mac: Vec<u8>,
    /// The header and the claims, if the answer is a token.
    pub token: Option<[String; 2]>,
}

impl SignedText {
    /// Returns the signing input of a JSON Web Token (RFC 7515, section 5.1).
    pub fn of_token(token: &str) -> Option<SignedText> {
        let (text, mac) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        let read = |part: &str| String::from_utf8(base64url_decode(part)?).ok();
        let token = Some([read(header)?, read(claims)?]);
        Some(SignedText { text: text.to_owned(), mac: base64url_decode(mac)?, token })
    }
}

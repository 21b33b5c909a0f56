//! What other programs sign for TalkJS by mistake.

use serde_json::Value;

use super::{APP_TOKEN_SECONDS, App, SigningJob};
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::{ForeignRequest, MacEncoding, MessageVariant, SignatureFormat, message_variants};

/// The form of the signatures of user ids.
pub(super) const SIGNATURE: SignatureFormat = SignatureFormat {
    encoding: MacEncoding::Hex,
    has_time: false,
    tried: "the user id in quotes, in another case, or with a newline",
};

/// Returns the user id and its variants.
pub(super) fn user_id_variants(user: &str) -> Vec<MessageVariant> {
    let changed = [
        ("the user id was signed in quotes", Value::from(user).to_string()),
        ("the user id was signed in lower case", user.to_lowercase()),
        ("the user id was signed in upper case", user.to_uppercase()),
        ("the user id was signed with a newline at its end", format!("{user}\n")),
    ];
    message_variants(user.to_owned(), changed)
}

/// Describes how the claims of a token differ from the expected claims.
pub(super) fn claim_differences(
    app: &App,
    signing_job: &SigningJob,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let claims = &token.claims;
    let (kind, lives) = match signing_job {
        SigningJob::Token { ttl_seconds } => ("user", *ttl_seconds),
        SigningJob::Signature | SigningJob::AppToken => ("app", APP_TOKEN_SECONDS),
    };
    let subject = match signing_job {
        SigningJob::Token { .. } => claims.difference("sub", &foreign.request.client),
        SigningJob::Signature | SigningJob::AppToken => {
            claims.get("sub").map(|_| "`sub` is present, but a server's token has none".to_owned())
        }
    };
    let texts = [claims.difference("tokenType", kind), claims.difference("iss", app.app_id()), subject];
    texts.into_iter().flatten().chain(token.check_times(foreign.now, foreign.at, lives)).collect()
}

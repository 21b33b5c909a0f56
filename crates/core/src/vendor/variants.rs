//! What other programs sign by mistake: usual wrong texts and wrong keys, for the command `verify`.
//!
//! Each variant has one mistake. The folder of each vendor has the variants of its texts.

use std::collections::HashSet;

use super::signing_input::Nonce;
use crate::crypto::base64_decode;
use crate::model::{Millis, SigningRequest};
use crate::secret::Secret;

/// A request that another program signed.
#[derive(Clone, Copy, Debug)]
pub struct ForeignRequest<'a> {
    /// The request as this program reads it.
    pub request: &'a SigningRequest,
    /// The capability as it was given, which may differ from the canonical form.
    pub capability: Option<&'a str>,
    /// The time of the signature, if it is known.
    pub at: Option<Millis>,
    /// The nonce of the signature, if it is known.
    pub nonce: Option<&'a Nonce>,
    /// The present time.
    pub now: Millis,
    /// The other apps of the vendor: the name in the configuration, and the id that is a part of the signed text.
    pub other_apps: &'a [(&'a str, &'a str)],
}

/// The form of the signatures of an operation.
#[derive(Clone, Copy, Debug)]
pub struct SignatureFormat {
    /// The encoding of the MAC.
    pub encoding: MacEncoding,
    /// Whether the time and the nonce are a part of the text.
    pub has_time: bool,
    /// The mistakes in the text that are tried, for people.
    pub tried: &'static str,
}

/// The encoding of the bytes of a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacEncoding {
    /// Hex digits in lower case.
    Hex,
    /// Hex digits in upper case.
    UpperHex,
    /// Base64 with the standard alphabet and padding.
    Base64,
    /// Base64 in another form.
    OtherBase64,
    /// Base64 of hex digits.
    Base64OfHex,
}

/// A text that another program may have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageVariant {
    /// The difference from the correct text, as a clause of a sentence. `None` if the text is correct.
    pub change: Option<String>,
    /// The text.
    pub text: String,
}

/// A key that another program may have used.
#[derive(Clone, Debug)]
pub struct KeyVariant {
    /// The reason why the key is wrong, as a clause of a sentence. `None` if the key is correct.
    pub change: Option<String>,
    /// The key.
    pub secret: Secret,
}

impl MacEncoding {
    /// Returns the name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            MacEncoding::Hex => "lower-case hex",
            MacEncoding::UpperHex => "upper-case hex",
            MacEncoding::Base64 => "Base64",
            MacEncoding::OtherBase64 => "Base64 with the URL-safe alphabet or without padding",
            MacEncoding::Base64OfHex => "Base64 of the hex digits",
        }
    }
}

/// Returns the correct text and the texts with one change. Texts that occurred before are left out.
pub(super) fn message_variants(
    right: String,
    changed: impl IntoIterator<Item = (impl Into<String>, String)>,
) -> Vec<MessageVariant> {
    let mut seen = HashSet::from([right.clone()]);
    let mut variants = vec![MessageVariant { change: None, text: right }];
    for (change, text) in changed {
        if seen.insert(text.clone()) {
            variants.push(MessageVariant { change: Some(change.into()), text });
        }
    }
    variants
}

/// Returns the correct key, `other`, and the usual misreadings of the correct key.
pub(super) fn key_variants(right: &Secret, other: Option<(&'static str, Vec<u8>)>) -> Vec<KeyVariant> {
    let bytes = right.expose();
    let with = |end: &[u8]| [bytes, end].concat();
    let text = String::from_utf8_lossy(bytes);
    let wrong = [
        ("the key was used with a newline at its end", Some(with(b"\n"))),
        ("the key was used with a newline at its end", Some(with(b"\r\n"))),
        ("the key was used with a space at its end", Some(with(b" "))),
        ("the key was used without the white space around it", Some(bytes.trim_ascii().to_vec())),
        ("the key was decoded as hex", hex::decode(bytes).ok()),
        ("the key was decoded as Base64", base64_decode(&text)),
    ];
    let wrong = wrong.into_iter().filter_map(|(change, taken)| Some((change, taken?)));
    let wrong = other.into_iter().chain(wrong).filter(|(_, taken)| taken != bytes);
    let wrong = wrong.map(|(change, taken)| KeyVariant { change: Some(change.to_owned()), secret: Secret::new(taken) });
    std::iter::once(KeyVariant { change: None, secret: right.clone() }).chain(wrong).collect()
}

/// The limit between timestamps in seconds and in milliseconds. It is a day in 1973 in milliseconds, and a day in the
/// year 5138 in seconds.
pub(super) const SECONDS_LIMIT: u64 = 100_000_000_000;

/// Returns the timestamp in the other unit, with the description of this change.
pub(super) fn other_unit(timestamp: u64) -> (&'static str, u64) {
    match timestamp {
        SECONDS_LIMIT.. => ("the timestamp is in seconds, not milliseconds", timestamp / 1000),
        _ => ("the timestamp is in milliseconds, not seconds", timestamp.saturating_mul(1000)),
    }
}

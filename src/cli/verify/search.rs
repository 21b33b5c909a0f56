//! Searches for the way in which a signature was made: correctly, or with one or two of the usual mistakes.

use std::collections::HashSet;

use super::keys::CandidateKey;
use crate::crypto::mac::{HmacSha1, HmacSha256};
use crate::crypto::{base64, base64url_decode, constant_time_eq};

/// The maximum number of mistakes that are combined. Mistakes in the encoding and hash of the signature are not
/// counted.
const MAX_CHANGES: usize = 2;

/// The form of a vendor's signatures.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignatureStyle {
    pub(super) algorithm: MacAlgorithm,
    pub(super) encoding: MacEncoding,
    /// A description of the mistakes that are tried.
    pub(super) tried: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacAlgorithm {
    HmacSha1,
    HmacSha256,
}

/// The encoding of the bytes of a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacEncoding {
    Hex,
    UpperHex,
    Base64,
    OtherBase64,
    Base64OfHex,
}

/// A text that may have been signed.
#[derive(Clone, Debug)]
pub(super) struct CandidateMessage {
    /// The differences from the correct text, each as a clause of a sentence.
    pub(super) changes: Vec<String>,
    pub(super) text: String,
}

/// The way in which a signature was made.
#[derive(Debug)]
pub(super) struct FoundSignature {
    /// The differences from the correct way, each as a clause of a sentence. Empty if the signature is correct.
    pub(super) changes: Vec<String>,
    pub(super) message: String,
    /// The index of the app's key that made it, from 0. `None` for a key of another app.
    pub(super) key: Option<usize>,
}

/// A signature, decoded to the bytes of a MAC.
struct DecodedSignature {
    changes: Vec<String>,
    algorithm: MacAlgorithm,
    mac: Vec<u8>,
}

/// Finds the way in which the signature was made, with as few changes as possible.
pub(super) fn search(
    signature: &str,
    style: SignatureStyle,
    messages: &[CandidateMessage],
    keys: &[CandidateKey],
) -> Option<FoundSignature> {
    let readings = decode_signature(signature, style);
    (0..=MAX_CHANGES).find_map(|changes| {
        readings.iter().find_map(|reading| {
            keys.iter().find_map(|key| find_message(reading, key, messages, changes.checked_sub(key.change_count())?))
        })
    })
}

/// Finds the message with `left` changes whose MAC with this key is the signature.
fn find_message(
    reading: &DecodedSignature,
    key: &CandidateKey,
    messages: &[CandidateMessage],
    left: usize,
) -> Option<FoundSignature> {
    let mac = reading.algorithm.keyed(key.secret.expose());
    let mut candidates = messages.iter().filter(|message| message.changes.len() == left);
    let message = candidates.find(|message| constant_time_eq(&mac.mac(&message.text), &reading.mac))?;
    let changes = [reading.changes.as_slice(), key.change.as_slice(), &message.changes].concat();
    Some(FoundSignature { changes, message: message.text.clone(), key: key.index })
}

/// Returns the correct text, the texts with each single change, and the texts with each pair of changes. If several
/// combinations have the same text, it keeps the one with the fewest changes.
pub(super) fn messages<F>(
    right: &F,
    text: impl Fn(&F) -> String,
    changes: impl Fn(&F) -> Vec<(String, F)>,
) -> Vec<CandidateMessage> {
    let mut seen = HashSet::from([text(right)]);
    let mut messages = vec![CandidateMessage { changes: Vec::new(), text: text(right) }];
    let mut last = changes(right).into_iter().map(|(change, fields)| (vec![change], fields)).collect::<Vec<_>>();
    for depth in 1..=MAX_CHANGES {
        last.retain(|(_, fields)| seen.insert(text(fields)));
        messages.extend(
            last.iter().map(|(changes, fields)| CandidateMessage { changes: changes.clone(), text: text(fields) }),
        );
        if depth < MAX_CHANGES {
            let further = |(made, fields): &(Vec<String>, F)| -> Vec<(Vec<String>, F)> {
                let all = changes(fields).into_iter();
                all.map(|(change, fields)| ([made.as_slice(), &[change]].concat(), fields)).collect()
            };
            last = last.iter().flat_map(further).collect();
        }
    }
    messages
}

fn decode_signature(signature: &str, style: SignatureStyle) -> Vec<DecodedSignature> {
    let text = signature.trim();
    let padded = (text != signature).then(|| "there is white space around it".to_owned());
    let read = |(form, mac): (MacEncoding, Vec<u8>)| {
        let algorithm = match mac.len() {
            20 => MacAlgorithm::HmacSha1,
            32 => MacAlgorithm::HmacSha256,
            _ => return None,
        };
        let written =
            (form != style.encoding).then(|| format!("it is in {}, not in {}", form.name(), style.encoding.name()));
        let made = (algorithm != style.algorithm)
            .then(|| format!("it was made with {}, not {}", algorithm.name(), style.algorithm.name()));
        let changes = [padded.clone(), written, made].into_iter().flatten().collect();
        Some(DecodedSignature { changes, algorithm, mac })
    };
    decode_text(text).into_iter().filter_map(read).collect()
}

/// Decodes the text in every encoding that is possible.
fn decode_text(text: &str) -> Vec<(MacEncoding, Vec<u8>)> {
    let mut forms = Vec::new();
    if let Ok(bytes) = hex::decode(text) {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        forms.push((if upper { MacEncoding::UpperHex } else { MacEncoding::Hex }, bytes));
    }
    let plain = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    if let Some(bytes) = base64url_decode(&plain) {
        forms.extend(hex::decode(&bytes).ok().map(|inner| (MacEncoding::Base64OfHex, inner)));
        forms.push((if base64(&bytes) == text { MacEncoding::Base64 } else { MacEncoding::OtherBase64 }, bytes));
    }
    forms
}

/// Returns true if the text can be decoded to a MAC.
pub(super) fn is_mac(signature: &str, style: SignatureStyle) -> bool {
    !decode_signature(signature, style).is_empty()
}

/// A key, prepared for one algorithm.
enum PreparedKey {
    Sha1(HmacSha1),
    Sha256(HmacSha256),
}

impl PreparedKey {
    fn mac(&self, message: &str) -> Vec<u8> {
        match self {
            PreparedKey::Sha1(key) => key.mac(message.as_bytes()).into(),
            PreparedKey::Sha256(key) => key.mac(message.as_bytes()).into(),
        }
    }
}

impl MacAlgorithm {
    fn keyed(self, key: &[u8]) -> PreparedKey {
        match self {
            MacAlgorithm::HmacSha1 => PreparedKey::Sha1(HmacSha1::new(key)),
            MacAlgorithm::HmacSha256 => PreparedKey::Sha256(HmacSha256::new(key)),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            MacAlgorithm::HmacSha1 => "HMAC-SHA1",
            MacAlgorithm::HmacSha256 => "HMAC-SHA256",
        }
    }
}

impl MacEncoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            MacEncoding::Hex => "lower-case hex",
            MacEncoding::UpperHex => "upper-case hex",
            MacEncoding::Base64 => "Base64",
            MacEncoding::OtherBase64 => "Base64 with the URL-safe alphabet or without padding",
            MacEncoding::Base64OfHex => "Base64 of the hex digits",
        }
    }
}

/// The limit between timestamps in seconds and in milliseconds. It is a day in 1973 in milliseconds, and a day in the
/// year 5138 in seconds.
pub(super) const SECONDS_LIMIT: u64 = 100_000_000_000;

/// Returns the timestamp in the other unit.
pub(super) fn other_units(timestamp: u64) -> impl Iterator<Item = (String, u64)> {
    let other = match timestamp {
        SECONDS_LIMIT.. => ("the timestamp is in seconds, not milliseconds", timestamp / 1000),
        _ => ("the timestamp is in milliseconds, not seconds", timestamp.saturating_mul(1000)),
    };
    std::iter::once((other.0.to_owned(), other.1))
}

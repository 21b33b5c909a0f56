//! Searches for the way in which a signature was made: correctly, or with one usual mistake in its text or key. The
//! encoding and the hash can be seen in the signature itself, so a mistake in them is named in addition.

use crate::crypto::mac::MacAlgorithm;
use crate::crypto::{base64, base64url_decode, constant_time_eq};
use crate::secret::Secret;
use crate::vendor::{App, KeyVariant, MacEncoding, MessageVariant};

/// The form of a vendor's signatures.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignatureStyle {
    pub(super) algorithm: MacAlgorithm,
    pub(super) encoding: MacEncoding,
    /// The mistakes in the text that are tried.
    pub(super) tried: &'static str,
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

/// All secrets of a configuration, from the view of one app.
pub(super) struct CandidateKeys {
    /// The keys of the app, as in the configuration.
    pub(super) own: Vec<Secret>,
    others: Vec<KeyVariant>,
}

impl CandidateKeys {
    /// Builds the keys for an app. `all` has the name and the secrets of each app.
    pub(super) fn new(app: &App, all: Vec<(String, Vec<Secret>)>) -> CandidateKeys {
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| *name == **app.name());
        let own = own.into_iter().flat_map(|(_, secrets)| secrets).collect();
        let others = others.iter().flat_map(|(name, secrets)| {
            let forms = secrets.iter().flat_map(|secret| [secret.clone(), secret_part(secret)]);
            let change = format!("it is made with the key of [apps.{name}]");
            forms.map(move |secret| KeyVariant { change: Some(change.clone()), secret })
        });
        CandidateKeys { own, others: others.collect() }
    }
}

/// Returns the part after the first `:`, or the whole key.
fn secret_part(secret: &Secret) -> Secret {
    let bytes = secret.expose();
    let start = bytes.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    Secret::new(bytes.get(start..).unwrap_or_default().to_vec())
}

/// Returns a text without a mistake.
pub(super) fn unchanged(text: &str) -> MessageVariant {
    MessageVariant { change: None, text: text.to_owned() }
}

/// A signature, decoded to the bytes of a MAC.
struct DecodedSignature {
    changes: Vec<String>,
    algorithm: MacAlgorithm,
    mac: Vec<u8>,
}

/// Finds the way in which the signature was made, with as few mistakes as possible. `messages` returns the texts for a
/// key of the app, the correct text first.
pub(super) fn search(
    signature: &str,
    style: SignatureStyle,
    messages: &dyn Fn(&Secret) -> Vec<MessageVariant>,
    app: &App,
    keys: &CandidateKeys,
) -> Option<FoundSignature> {
    let readings = decode_signature(signature, style);
    let found = keys.own.iter().enumerate().filter_map(|(index, key)| {
        let (texts, variants) = (messages(key), app.key_variants(key));
        readings.iter().find_map(|reading| reading.explain(app, &texts, &variants, &keys.others, index))
    });
    found.min_by_key(|found| found.changes.len())
}

impl DecodedSignature {
    /// Returns how the MAC was made: with the correct text and key, a wrong text, a wrong key, or a key of another app.
    fn explain(
        &self,
        app: &App,
        texts: &[MessageVariant],
        own: &[KeyVariant],
        others: &[KeyVariant],
        index: usize,
    ) -> Option<FoundSignature> {
        let (text, key) = (texts.first()?, own.first()?);
        let wrong_texts = texts.iter().map(|text| (text, key, Some(index)));
        let wrong_keys = own.iter().map(|key| (text, key, Some(index)));
        let other_keys = others.iter().map(|key| (text, key, None));
        let (text, key, index) = wrong_texts
            .chain(wrong_keys)
            .chain(other_keys)
            .find(|(text, key, _)| constant_time_eq(&app.mac(self.algorithm, &key.secret, &text.text), &self.mac))?;
        let changes = [self.changes.as_slice(), key.change.as_slice(), text.change.as_slice()].concat();
        Some(FoundSignature { changes, message: text.text.clone(), key: index })
    }
}

fn decode_signature(signature: &str, style: SignatureStyle) -> Vec<DecodedSignature> {
    let text = signature.trim();
    let padded = (text != signature).then(|| "there is white space around it".to_owned());
    let read = |(form, mac): (MacEncoding, Vec<u8>)| {
        let algorithm = algorithm_of(&mac)?;
        let written =
            (form != style.encoding).then(|| format!("it is in {}, not in {}", form.as_str(), style.encoding.as_str()));
        let made = (algorithm != style.algorithm)
            .then(|| format!("it was made with {}, not {}", algorithm.as_str(), style.algorithm.as_str()));
        let changes = [padded.clone(), written, made].into_iter().flatten().collect();
        Some(DecodedSignature { changes, algorithm, mac })
    };
    decode_text(text).into_iter().filter_map(read).collect()
}

/// Returns the algorithm that makes MACs of this length.
fn algorithm_of(mac: &[u8]) -> Option<MacAlgorithm> {
    match mac.len() {
        20 => Some(MacAlgorithm::HmacSha1),
        32 => Some(MacAlgorithm::HmacSha256),
        _ => None,
    }
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

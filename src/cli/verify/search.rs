//! Looks for the way in which a signature was made: the right one, or with one or two of the usual mistakes.

use std::collections::HashSet;

use super::keys::Key;
use crate::crypto::mac::{HmacSha1, HmacSha256};
use crate::crypto::{base64, base64url_decode, equal};

/// At most so many mistakes are taken together, beside those in the form of the signature.
const MOST: usize = 2;

/// How a vendor wants its signatures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) algorithm: Algorithm,
    pub(super) form: Form,
    /// The mistakes that are looked for.
    pub(super) tried: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    HmacSha1,
    HmacSha256,
}

/// How the bytes of a MAC are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Hex,
    UpperHex,
    Base64,
    OtherBase64,
    Base64OfHex,
}

/// A text that may have been signed.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// How it differs from the right one, each in a sentence's words.
    pub(super) changes: Vec<String>,
    pub(super) text: String,
}

/// How a signature was made.
#[derive(Debug)]
pub(super) struct Found {
    /// How that differs from how it should be, each in a sentence's words. Nothing: it is right.
    pub(super) changes: Vec<String>,
    pub(super) message: String,
    /// Which of the app's keys it was made with, counted from 0; `None` for another app's.
    pub(super) key: Option<usize>,
}

/// A signature, read as the bytes of a MAC.
struct Reading {
    changes: Vec<String>,
    algorithm: Algorithm,
    mac: Vec<u8>,
}

/// How the signature was made, with the fewest changes that explain it.
pub(super) fn search(signature: &str, style: Style, messages: &[Message], keys: &[Key]) -> Option<Found> {
    let readings = readings(signature, style);
    (0..=MOST).find_map(|changes| {
        readings.iter().find_map(|reading| {
            keys.iter().find_map(|key| with_key(reading, key, messages, changes.checked_sub(key.changes())?))
        })
    })
}

/// The message with so many changes of which this is the MAC by this key.
fn with_key(reading: &Reading, key: &Key, messages: &[Message], left: usize) -> Option<Found> {
    let mac = reading.algorithm.keyed(key.secret.expose());
    let mut candidates = messages.iter().filter(|message| message.changes.len() == left);
    let message = candidates.find(|message| equal(&mac.of(&message.text), &reading.mac))?;
    let changes = [reading.changes.as_slice(), key.change.as_slice(), &message.changes].concat();
    Some(Found { changes, message: message.text.clone(), key: key.place })
}

/// The text as it should be, with each change, and with each two. Of those that come to the same text, the one with the fewest changes.
pub(super) fn messages<F>(
    right: &F,
    text: impl Fn(&F) -> String,
    changes: impl Fn(&F) -> Vec<(String, F)>,
) -> Vec<Message> {
    let mut seen = HashSet::from([text(right)]);
    let mut messages = vec![Message { changes: Vec::new(), text: text(right) }];
    let mut last = changes(right).into_iter().map(|(change, fields)| (vec![change], fields)).collect::<Vec<_>>();
    for depth in 1..=MOST {
        last.retain(|(_, fields)| seen.insert(text(fields)));
        messages.extend(last.iter().map(|(changes, fields)| Message { changes: changes.clone(), text: text(fields) }));
        if depth < MOST {
            let further = |(made, fields): &(Vec<String>, F)| -> Vec<(Vec<String>, F)> {
                let all = changes(fields).into_iter();
                all.map(|(change, fields)| ([made.as_slice(), &[change]].concat(), fields)).collect()
            };
            last = last.iter().flat_map(further).collect();
        }
    }
    messages
}

fn readings(signature: &str, style: Style) -> Vec<Reading> {
    let text = signature.trim();
    let padded = (text != signature).then(|| "there is white space around it".to_owned());
    let read = |(form, mac): (Form, Vec<u8>)| {
        let algorithm = match mac.len() {
            20 => Algorithm::HmacSha1,
            32 => Algorithm::HmacSha256,
            _ => return None,
        };
        let written = (form != style.form).then(|| format!("it is {}, not {}", form.name(), style.form.name()));
        let made = (algorithm != style.algorithm)
            .then(|| format!("it is made with {}, not {}", algorithm.name(), style.algorithm.name()));
        let changes = [padded.clone(), written, made].into_iter().flatten().collect();
        Some(Reading { changes, algorithm, mac })
    };
    forms(text).into_iter().filter_map(read).collect()
}

/// Every way in which the text can be read as bytes.
fn forms(text: &str) -> Vec<(Form, Vec<u8>)> {
    let mut forms = Vec::new();
    if let Ok(bytes) = hex::decode(text) {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        forms.push((if upper { Form::UpperHex } else { Form::Hex }, bytes));
    }
    let plain = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    if let Some(bytes) = base64url_decode(&plain) {
        forms.extend(hex::decode(&bytes).ok().map(|inner| (Form::Base64OfHex, inner)));
        forms.push((if base64(&bytes) == text { Form::Base64 } else { Form::OtherBase64 }, bytes));
    }
    forms
}

/// Whether it can be a signature at all.
pub(super) fn is_mac(signature: &str, style: Style) -> bool {
    !readings(signature, style).is_empty()
}

/// A key, ready for one algorithm.
enum Keyed {
    Sha1(HmacSha1),
    Sha256(HmacSha256),
}

impl Keyed {
    fn of(&self, message: &str) -> Vec<u8> {
        match self {
            Keyed::Sha1(key) => key.mac(message.as_bytes()).into(),
            Keyed::Sha256(key) => key.mac(message.as_bytes()).into(),
        }
    }
}

impl Algorithm {
    fn keyed(self, key: &[u8]) -> Keyed {
        match self {
            Algorithm::HmacSha1 => Keyed::Sha1(HmacSha1::new(key)),
            Algorithm::HmacSha256 => Keyed::Sha256(HmacSha256::new(key)),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::HmacSha1 => "HMAC-SHA1",
            Algorithm::HmacSha256 => "HMAC-SHA256",
        }
    }
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Hex => "lower-case hex",
            Form::UpperHex => "upper-case hex",
            Form::Base64 => "Base64",
            Form::OtherBase64 => "Base64 with the URL-safe alphabet or without padding",
            Form::Base64OfHex => "Base64 of the hex digits",
        }
    }
}

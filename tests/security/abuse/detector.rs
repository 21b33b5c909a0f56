//! Finds secrets in what should hold none.

use std::collections::HashMap;

use chat_signer::crypto::{base64, base64url, hex};

/// How many characters in a row give a secret away.
const TELLING: usize = 12;

/// Knows what must not appear, and every piece of it, in the usual encodings.
#[derive(Default)]
pub struct Detector(HashMap<Vec<u8>, String>);

impl Detector {
    /// Forbids a secret: as it is, in hex and Base64 at any offset, and as `Debug` shows bytes.
    pub fn forbid(&mut self, name: &str, secret: &str) {
        let bytes = secret.as_bytes();
        self.forbid_text(name, secret);
        self.forbid_text(name, &hex(bytes));
        self.forbid_text(name, &hex(bytes).to_uppercase());
        self.forbid_text(name, &format!("{bytes:?}"));
        for offset in 0..3 {
            self.forbid_text(name, &base64(&bytes[offset..]));
            self.forbid_text(name, &base64url(&bytes[offset..]));
        }
    }

    /// Forbids a text as it stands.
    pub fn forbid_text(&mut self, name: &str, text: &str) {
        for piece in text.as_bytes().windows(TELLING) {
            self.0.entry(piece.to_vec()).or_insert_with(|| name.to_owned());
        }
    }

    /// Forbids every part of a token.
    pub fn forbid_token(&mut self, name: &str, token: &str) {
        for part in token.split('.') {
            self.forbid_text(name, part);
        }
    }

    /// Whose piece is in there, if any is, and which.
    pub fn find(&self, text: &str) -> Option<(&str, String)> {
        let piece = text.as_bytes().windows(TELLING).find(|piece| self.0.contains_key(*piece))?;
        Some((self.0[piece].as_str(), String::from_utf8_lossy(piece).into_owned()))
    }

    /// Asserts that nothing forbidden is in there.
    pub fn assert_clean(&self, place: &str, text: &str) {
        if let Some((name, piece)) = self.find(text) {
            let line = text.lines().find(|line| line.contains(&piece)).unwrap_or_default();
            panic!("{place} gives away {name} by `{piece}`: {line}");
        }
    }
}

#[test]
fn the_detector_finds_what_it_should() {
    let secret = "Zephyr7Quokka3Marmalade9Obelisk";
    let mut detector = Detector::default();
    detector.forbid("a secret", secret);
    detector.forbid_token("a token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0b20ifQ.signaturesignature");
    let bytes = secret.as_bytes();
    for leak in [
        format!("key={secret}"),
        format!("…{}…", &secret[3..15]),
        hex(bytes),
        hex(bytes).to_uppercase(),
        hex(&bytes[5..20]),
        base64(bytes),
        base64url(format!("Basic {secret}").as_bytes()),
        base64(format!("a{secret}").as_bytes()),
        base64(format!("ab{secret}").as_bytes()),
        format!("{:?}", bytes.to_vec()),
        format!("{:?}", std::str::from_utf8(bytes)),
        "token: eyJzdWIiOiJ0b20ifQ".to_owned(),
        "mac: gnaturesignat".to_owned(),
    ] {
        assert!(detector.find(&leak).is_some(), "{leak}");
    }
    for clean in ["", "Zephyr7Quok", "a secret", "Secret(…)", "eyJhbGc"] {
        assert!(detector.find(clean).is_none(), "{clean}");
    }
}

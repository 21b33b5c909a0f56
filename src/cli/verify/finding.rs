//! The result of `verify`, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::search::{FoundSignature, SignatureStyle, is_mac};

/// The result of `verify`.
#[derive(Debug, Default)]
pub(super) struct VerifyResult {
    /// The differences from a correct signature, each as a clause of a sentence. Empty if the signature matches.
    pub(super) differences: Vec<String>,
    /// The index of the app's key that made the signature, from 0.
    pub(super) key: Option<usize>,
    /// The text that should have been signed.
    pub(super) expected: Option<String>,
    /// The text that was signed, if it is known and differs from the expected text.
    pub(super) signed: Option<String>,
    /// The mistakes that were tried without success.
    pub(super) tried: Option<String>,
}

impl VerifyResult {
    /// Builds the result for a MAC. `found` says how it was made, if that is known.
    pub(super) fn new(
        signature: &str,
        style: SignatureStyle,
        expected: String,
        found: Option<FoundSignature>,
    ) -> VerifyResult {
        match found {
            Some(FoundSignature { changes, message, key }) => {
                let signed = Some(message).filter(|message| *message != expected);
                VerifyResult { differences: changes, key, expected: Some(expected), signed, tried: None }
            }
            None => VerifyResult {
                differences: vec![unexplained_difference(signature, style)],
                expected: Some(expected),
                tried: Some(format!("{}; every key of this configuration, also if misread", style.tried)),
                ..VerifyResult::default()
            },
        }
    }

    pub(super) fn matches(&self) -> bool {
        self.differences.is_empty()
    }

    /// Formats the answer in a sentence, the differences, and the texts.
    pub(super) fn text(&self) -> String {
        let mut text = match (self.matches(), self.key) {
            (true, Some(0) | None) => "yes: it matches\n".to_owned(),
            (true, Some(place)) => format!("yes: it matches, with key {} of the app\n", place + 1),
            (false, _) => "no: it does not match\n".to_owned(),
        };
        // Writing to a string does not fail.
        for difference in &self.differences {
            let _ = writeln!(text, "  - {difference}");
        }
        for (title, line) in [("to sign", &self.expected), ("signed", &self.signed), ("tried", &self.tried)] {
            if let Some(line) = line {
                let _ = writeln!(text, "{title:<8} {}", line.replace('\n', "\\n"));
            }
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "matches": self.matches(),
            "differences": self.differences,
            "key": self.key.map(|place| place + 1),
            "to_sign": self.expected,
            "signed": self.signed,
            "tried": self.tried,
        })
    }
}

fn unexplained_difference(signature: &str, style: SignatureStyle) -> String {
    let (algorithm, form) = (style.algorithm.as_str(), style.encoding.as_str());
    if is_mac(signature, style) {
        "no usual mistake explains it".to_owned()
    } else {
        format!("it is not a MAC in hex or Base64; the expected form is {algorithm} in {form}")
    }
}

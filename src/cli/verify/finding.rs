//! What came of checking, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::search::{FoundSignature, SignatureStyle, is_mac};

/// What came of checking.
#[derive(Debug, Default)]
pub(super) struct VerifyResult {
    /// How it differs from what it should be, each in a sentence's words. Nothing: it matches.
    pub(super) differences: Vec<String>,
    /// Which of the app's keys made it, counted from 0.
    pub(super) key: Option<usize>,
    /// The text that should have been signed.
    pub(super) expected: Option<String>,
    /// The text that was, where that is known and another.
    pub(super) signed: Option<String>,
    /// What was tried in vain.
    pub(super) tried: Option<&'static str>,
}

impl VerifyResult {
    /// Of a MAC: how it was made, if that was found out.
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
                differences: vec![unexplained(signature, style)],
                expected: Some(expected),
                tried: Some(style.tried),
                ..VerifyResult::default()
            },
        }
    }

    pub(super) fn matches(&self) -> bool {
        self.differences.is_empty()
    }

    /// The answer in a sentence, the reasons, and what was signed.
    pub(super) fn text(&self) -> String {
        let mut text = match (self.matches(), self.key) {
            (true, Some(0) | None) => "yes: it matches\n".to_owned(),
            (true, Some(place)) => format!("yes: it matches, by key {} of the app's keys\n", place + 1),
            (false, _) => "no: it doesn't match\n".to_owned(),
        };
        // Writing to a string does not fail.
        for difference in &self.differences {
            let _ = writeln!(text, "  - {difference}");
        }
        let lines = [("to sign", self.expected.as_deref()), ("signed", self.signed.as_deref()), ("tried", self.tried)];
        for (title, line) in lines {
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

fn unexplained(signature: &str, style: SignatureStyle) -> String {
    let (algorithm, form) = (style.algorithm.name(), style.form.name());
    if is_mac(signature, style) {
        "no usual mistake explains it".to_owned()
    } else {
        format!("it is no MAC in hex or Base64; {algorithm} in {form} is wanted")
    }
}

//! Tokens before they are signed and sent, and ways to change them.

use std::rc::Rc;

use chat_signer::crypto::base64url;
use serde_json::Value;

use crate::abuse::request::bytes;

/// A token and how it is sent, step by step.
pub(crate) struct Draft {
    header: Vec<u8>,
    claims: Vec<u8>,
    sign: Rc<Sign>,
    /// What is changed about the whole token.
    edit: Rc<dyn Fn(&str) -> String>,
    /// The header lines that carry it.
    carry: Rc<dyn Fn(&str) -> String>,
}

pub(crate) type Sign = dyn Fn(&[u8]) -> Vec<u8>;

/// A change to a draft.
pub(crate) type Twist = Box<dyn Fn(Draft) -> Draft>;

impl Draft {
    pub(crate) fn new(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Draft {
        Draft {
            header: uneven(header.to_string()),
            claims: uneven(claims.to_string()),
            sign: Rc::new(sign),
            edit: Rc::new(str::to_owned),
            carry: Rc::new(|token| format!("authorization: Bearer {token}\r\n")),
        }
    }

    /// The request that shows it.
    pub(crate) fn request(&self) -> Vec<u8> {
        let lines = (self.carry)(&(self.edit)(&self.token()));
        bytes("POST", "/v1/talkjs/token", &(lines + "content-type: application/json\r\n"), "{}")
    }

    /// The token before it is edited.
    pub(crate) fn token(&self) -> String {
        let message = format!("{}.{}", base64url(&self.header), base64url(&self.claims));
        let signature = (self.sign)(message.as_bytes());
        format!("{message}.{}", base64url(&signature))
    }
}

/// Puts white space behind JSON until its Base64 ends with bits that stand for nothing.
fn uneven(mut json: String) -> Vec<u8> {
    while json.len().is_multiple_of(3) {
        json.push(' ');
    }
    json.into_bytes()
}

/// A member of the header.
pub(crate) fn header(name: &'static str, value: Value) -> Twist {
    Box::new(move |draft| Draft { header: with(&draft.header, name, Some(&value)), ..draft })
}

/// No such member of the header.
pub(crate) fn no_header(name: &'static str) -> Twist {
    Box::new(move |draft| Draft { header: with(&draft.header, name, None), ..draft })
}

/// A claim.
pub(crate) fn claim(name: &'static str, value: Value) -> Twist {
    Box::new(move |draft| Draft { claims: with(&draft.claims, name, Some(&value)), ..draft })
}

/// No such claim.
pub(crate) fn no_claim(name: &'static str) -> Twist {
    Box::new(move |draft| Draft { claims: with(&draft.claims, name, None), ..draft })
}

fn with(json: &[u8], name: &str, value: Option<&Value>) -> Vec<u8> {
    let mut object: Value = serde_json::from_slice(json).unwrap();
    let members = object.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value.clone()),
        None => members.remove(name),
    };
    uneven(object.to_string())
}

/// The header's bytes.
pub(crate) fn header_bytes(edit: impl Fn(&str) -> Vec<u8> + 'static) -> Twist {
    Box::new(move |draft| Draft { header: edit(std::str::from_utf8(&draft.header).unwrap()), ..draft })
}

/// The payload's bytes.
pub(crate) fn claims_bytes(edit: impl Fn(&str) -> Vec<u8> + 'static) -> Twist {
    Box::new(move |draft| Draft { claims: edit(std::str::from_utf8(&draft.claims).unwrap()), ..draft })
}

/// More members, as text, at the end of the payload.
pub(crate) fn claims_text(members: &'static str) -> Twist {
    claims_bytes(move |json| (json.trim_end().strip_suffix('}').unwrap().to_owned() + "," + members + "}").into_bytes())
}

/// More members, as text, at the end of the header.
pub(crate) fn header_text(members: &'static str) -> Twist {
    header_bytes(move |json| (json.trim_end().strip_suffix('}').unwrap().to_owned() + "," + members + "}").into_bytes())
}

/// Signed so.
pub(crate) fn signed(sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Twist {
    let sign: Rc<Sign> = Rc::new(sign);
    Box::new(move |draft| Draft { sign: Rc::clone(&sign), ..draft })
}

/// With this made of the good signature.
pub(crate) fn signature(edit: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Twist {
    let edit = Rc::new(edit);
    Box::new(move |draft| {
        let (sign, edit) = (draft.sign, Rc::clone(&edit));
        Draft { sign: Rc::new(move |message| edit(sign(message))), ..draft }
    })
}

/// With this made of the whole token.
pub(crate) fn token(edit: impl Fn(&str) -> String + 'static) -> Twist {
    let edit: Rc<dyn Fn(&str) -> String> = Rc::new(edit);
    Box::new(move |draft| Draft { edit: Rc::clone(&edit), ..draft })
}

/// With this made of one of the three parts, which are still in Base64.
pub(crate) fn part(number: usize, edit: impl Fn(&str) -> String + 'static) -> Twist {
    token(move |token| {
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        parts[number] = edit(&parts[number]);
        parts.join(".")
    })
}

/// In these header lines.
pub(crate) fn carried(lines: impl Fn(&str) -> String + 'static) -> Twist {
    let lines: Rc<dyn Fn(&str) -> String> = Rc::new(lines);
    Box::new(move |draft| Draft { carry: Rc::clone(&lines), ..draft })
}

/// One change after the other.
pub(crate) fn all<const N: usize>(twists: [Twist; N]) -> Twist {
    Box::new(move |draft| twists.iter().fold(draft, |draft, twist| twist(draft)))
}

//! The texts that are signed for Tencent Cloud, and the form of a UserSig.
//!
//! A text has one line for each part. The parts have no line feed: ids have an alphabet, and the ticket for a room is in
//! Base64. So each text has one meaning.

use std::fmt;

use serde_json::{Map, Value};

use crate::crypto::{base64, base64_decode};
use crate::model::json;
use crate::vendor::InvalidRequest;
use crate::vendor::signing_input::JsonObject;
use crate::vendor::zlib;

/// The longest user id, in bytes.
const MAX_USER_BYTES: usize = 32;

/// The longest name of a room, in bytes.
const MAX_ROOM_BYTES: usize = 64;

/// The largest number of a room.
pub(super) const MAX_ROOM_NUMBER: u32 = u32::MAX - 1;

/// Checks that Tencent knows such user ids.
///
/// # Errors
/// Returns the flaw, in words that complete "the id …".
pub fn check_user(user: &str) -> Result<(), String> {
    let is_id = user.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if user.is_empty() || user.len() > MAX_USER_BYTES || !is_id {
        return Err(format!("must be 1 to {MAX_USER_BYTES} letters, digits, `_` and `-`, as at Tencent"));
    }
    Ok(())
}

/// The parts of a UserSig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSigParts<'a> {
    /// The user.
    pub user: &'a str,
    /// The id of the app at Tencent.
    pub sdk_app_id: u32,
    /// The time of issue in Unix seconds.
    pub issued_at: u64,
    /// The lifetime, in seconds.
    pub ttl_seconds: u64,
    /// The ticket for a room in Base64, if the UserSig is a PrivateMapKey.
    pub ticket: Option<&'a str>,
}

impl UserSigParts<'_> {
    /// Returns the text to sign.
    pub fn text(&self) -> UserSigText {
        let UserSigParts { user, sdk_app_id, issued_at, ttl_seconds, ticket } = self;
        let ticket = ticket.map(|ticket| format!("TLS.userbuf:{ticket}\n")).unwrap_or_default();
        UserSigText(format!(
            "TLS.identifier:{user}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{issued_at}\nTLS.expire:{ttl_seconds}\n{ticket}"
        ))
    }

    /// Returns the JSON of the UserSig with this MAC.
    pub fn document(&self, mac: &[u8]) -> String {
        let object = JsonObject::new()
            .string("TLS.ver", "2.0")
            .string("TLS.identifier", self.user)
            .number("TLS.sdkappid", u64::from(self.sdk_app_id))
            .number("TLS.time", self.issued_at)
            .number("TLS.expire", self.ttl_seconds);
        let object = match self.ticket {
            Some(ticket) => object.string("TLS.userbuf", ticket),
            None => object,
        };
        object.string("TLS.sig", &base64(mac)).finish()
    }
}

/// A text to sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserSigText(String);

impl UserSigText {
    /// Returns the text to sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserSigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Encodes the JSON of a UserSig: compressed, in Base64 with `*`, `-` and `_` in the place of `+`, `/` and `=`.
pub(super) fn encode(document: &str) -> String {
    base64(&zlib::compress(document.as_bytes())).replace('+', "*").replace('/', "-").replace('=', "_")
}

/// Decodes a UserSig. Returns `None` if it is not one.
pub fn decode(user_sig: &str) -> Option<Map<String, Value>> {
    let standard = user_sig.replace('*', "+").replace('-', "/").replace('_', "=");
    json::parse_object(&zlib::decompress(&base64_decode(&standard)?)?).ok()
}

/// Returns the text that a UserSig with this JSON signs.
pub(super) fn text_of(document: &Map<String, Value>) -> Option<UserSigText> {
    let parts = UserSigParts {
        user: document.get("TLS.identifier")?.as_str()?,
        sdk_app_id: u32::try_from(document.get("TLS.sdkappid")?.as_u64()?).ok()?,
        issued_at: document.get("TLS.time")?.as_u64()?,
        ttl_seconds: document.get("TLS.expire")?.as_u64()?,
        ticket: document.get("TLS.userbuf").and_then(Value::as_str),
    };
    Some(parts.text())
}

/// A room of TRTC. Rooms with a number and rooms with a name are different rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// A room with a number, `roomId` in the SDKs.
    Number(u32),
    /// A room with a name, `strRoomId` in the SDKs. A name has a character that is not a digit.
    Name(String),
}

impl Room {
    /// Reads a number or a name.
    ///
    /// # Errors
    /// Returns an error if Tencent knows no such room.
    pub fn parse(text: &str) -> Result<Room, InvalidRequest> {
        const NUMBER: &str =
            "must be a number from 1 to 4294967294 without leading zeros, or a name with other characters";
        let refuse = |message: &str| Err(InvalidRequest::new("room_id", message));
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| (1..=MAX_ROOM_NUMBER).contains(number));
            return match number.filter(|_| !text.starts_with('0')) {
                Some(number) => Ok(Room::Number(number)),
                None => refuse(NUMBER),
            };
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&()+-:;<=.>?@^_~,".contains(&byte);
        if text.is_empty() || text.len() > MAX_ROOM_BYTES || !text.bytes().all(is_name) {
            return refuse("must be a number, or 1 to 64 letters, digits and the characters !#$%&()+-:;<=.>?@^_~,");
        }
        Ok(Room::Name(text.to_owned()))
    }
}

/// A ticket for a room of TRTC. Its bytes are a part of a PrivateMapKey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomTicket<'a> {
    /// The user.
    pub user: &'a str,
    /// The id of the app at Tencent.
    pub sdk_app_id: u32,
    /// The room.
    pub room: &'a Room,
    /// The expiry time in Unix seconds.
    pub expires_at: u64,
    /// What the user can do in the room, as bits.
    pub privileges: u32,
}

impl RoomTicket<'_> {
    /// Returns the bytes in Base64. All numbers have the most significant byte first.
    pub fn to_base64(&self) -> String {
        let (version, number, name) = match self.room {
            Room::Number(number) => (0, *number, None),
            Room::Name(name) => (1, 0, Some(name)),
        };
        let mut bytes = vec![version];
        push_text(&mut bytes, self.user);
        let expires_at = u32::try_from(self.expires_at).unwrap_or(u32::MAX);
        for part in [self.sdk_app_id, number, expires_at, self.privileges, 0] {
            bytes.extend(part.to_be_bytes());
        }
        if let Some(name) = name {
            push_text(&mut bytes, name);
        }
        base64(&bytes)
    }
}

/// Writes the length and the text. The alphabets and lengths of ids and rooms are checked before, so a length fits.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use super::*;

    #[test]
    fn rooms_have_a_number_or_a_name() {
        assert_eq!(Room::parse("1234").unwrap(), Room::Number(1234));
        assert_eq!(Room::parse("4294967294").unwrap(), Room::Number(MAX_ROOM_NUMBER));
        for name in ["lobby", "1234a", "-1", "a:b", "chat.42", "!#$%&()+-:;<=.>?@^_~,"] {
            assert_eq!(Room::parse(name).unwrap(), Room::Name(name.to_owned()));
        }
        let long = "x".repeat(65);
        for room in ["", "0", "007", "4294967295", "99999999999", "a b", "a*", "é", "a\n", "[a]", "{a}", "a|b", &long]
        {
            assert!(Room::parse(room).unwrap_err().to_string().starts_with("room_id must be"), "{room:?}");
        }
    }

    /// All ids and tickets of a small alphabet that is rich in delimiters: no text has two meanings.
    #[test]
    fn no_text_has_two_meanings() {
        let mut words = vec![String::new()];
        let mut last = words.clone();
        let parts = ["a", "1", "\n", ":", "TLS.expire:1", "TLS.userbuf:", "TLS.sdkappid:1", "AAAA", "="];
        for _ in 0..3 {
            last = last.iter().flat_map(|word| parts.iter().map(move |part| format!("{word}{part}"))).collect();
            words.extend(last.clone());
        }
        words.sort_unstable();
        words.dedup();
        let users: Vec<_> = words.iter().filter(|word| check_user(word).is_ok()).collect();
        let rooms: Vec<_> = words.iter().filter_map(|word| Room::parse(word).ok()).collect();
        assert!(users.len() > 30 && rooms.len() > 100, "{} users, {} rooms", users.len(), rooms.len());
        let mut meanings: HashMap<UserSigText, String> = HashMap::new();
        for user in users {
            for (sdk_app_id, issued_at, ttl_seconds) in [(1, 1, 1), (1, 11, 1), (11, 1, 1), (1, 1, 11)] {
                let parts = UserSigParts { user, sdk_app_id, issued_at, ttl_seconds, ticket: None };
                let mut add = |parts: &UserSigParts<'_>, meaning| {
                    assert_eq!(meanings.insert(parts.text(), meaning), None, "{parts:?}");
                };
                add(&parts, format!("{parts:?}"));
                for (privileges, room) in
                    [2, 42].into_iter().flat_map(|bits| rooms.iter().map(move |room| (bits, room)))
                {
                    let ticket = RoomTicket { user, sdk_app_id, room, expires_at: issued_at + ttl_seconds, privileges };
                    let base64 = ticket.to_base64();
                    add(&UserSigParts { ticket: Some(&base64), ..parts.clone() }, format!("{parts:?} {ticket:?}"));
                }
            }
        }
    }

    #[test]
    fn ids_that_could_shift_a_text_are_refused() {
        for user in ["", "a\n", "a\nTLS.time:1", "a b", "Ł", "a:b", "*", &"x".repeat(33)] {
            assert!(check_user(user).is_err(), "{user:?}");
        }
        assert!(check_user("Az09_-").is_ok() && check_user(&"x".repeat(32)).is_ok());
    }

    #[test]
    fn only_a_user_sig_is_decoded() {
        let parts = UserSigParts { user: "tom", sdk_app_id: 1, issued_at: 2, ttl_seconds: 3, ticket: None };
        let document = decode(&encode(&parts.document(b"mac"))).unwrap();
        assert_eq!(text_of(&document), Some(parts.text()));
        for text in ["", "x", "eyJhIjoxfQ__", &encode("[]"), &encode("{")] {
            assert!(decode(text).is_none(), "{text}");
        }
        assert_eq!(text_of(&Map::new()), None);
    }
}

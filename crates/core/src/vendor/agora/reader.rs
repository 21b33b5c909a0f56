//! Reads access tokens of other programs.

use serde_json::{Map, Value, json};

use super::message::{SignedBytes, VERSION, kind};
use crate::crypto::base64_decode;
use crate::vendor::zlib;

/// A token that was taken apart.
pub(super) struct OpenedToken {
    /// The bytes under the signature.
    pub(super) bytes: SignedBytes,
    /// The MAC.
    pub(super) mac: Vec<u8>,
    /// The parts, by name.
    pub(super) parts: Map<String, Value>,
}

/// Takes a token apart. Returns `None` if it is not an access token, or if it has a service of an unknown kind.
pub(super) fn open(token: &str) -> Option<OpenedToken> {
    let content = zlib::decompress(&base64_decode(token.strip_prefix(VERSION)?)?)?;
    let mut reader = Reader(&content);
    let length = usize::from(reader.u16()?);
    let mac = reader.take(length)?.to_vec();
    let bytes = SignedBytes(reader.0.to_vec());
    let mut parts = Map::new();
    parts.insert("app_id".to_owned(), reader.text()?.into());
    for name in ["issued_at", "expire", "salt"] {
        parts.insert(name.to_owned(), reader.u32()?.into());
    }
    let services = (0..reader.u16()?).map(|_| reader.service()).collect::<Option<Vec<_>>>()?;
    parts.insert("services".to_owned(), services.into());
    reader.0.is_empty().then_some(OpenedToken { bytes, mac, parts })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn service(&mut self) -> Option<Value> {
        let kind = self.u16()?;
        let privileges = (0..self.u16()?).map(|_| Some((self.u16()?.to_string(), Value::from(self.u32()?))));
        let privileges = privileges.collect::<Option<Map<_, _>>>()?;
        Some(match kind {
            kind::RTC => {
                let (channel, user) = (self.text()?, self.text()?);
                json!({ "kind": "RTC", "privileges": privileges, "channel": channel, "user": user })
            }
            kind::RTM => json!({ "kind": "RTM", "privileges": privileges, "user": self.text()? }),
            kind::CHAT => json!({ "kind": "Chat", "privileges": privileges, "user": self.text()? }),
            kind::RTM2 => {
                let (user, permissions) = (self.text()?, self.permissions()?);
                json!({ "kind": "RTM2", "privileges": privileges, "user": user, "permissions": permissions })
            }
            _ => return None,
        })
    }

    /// Reads the lists of names, for each kind of resource and each permission.
    fn permissions(&mut self) -> Option<Value> {
        let mut all = Map::new();
        for _ in 0..self.u16()? {
            let resource = self.u16()?;
            for _ in 0..self.u16()? {
                let permission = self.u16()?;
                let names = (0..self.u16()?).map(|_| self.text()).collect::<Option<Vec<_>>>()?;
                all.insert(format!("{resource}.{permission}"), names.into());
            }
        }
        Some(all.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::message::{AccessToken, Service};
    use super::*;
    use crate::crypto::base64;

    #[test]
    fn only_a_whole_token_is_opened() {
        let service = Service::Signaling { user: "tom", read: vec!["a"], write: vec!["a", "b"] };
        let bytes = AccessToken { app_id: "x", issued_at: 1, ttl_seconds: 2, salt: 3, service }.to_bytes();
        let token = bytes.token(b"mac");
        let opened = open(&token).unwrap();
        assert_eq!((opened.bytes, opened.mac), (bytes.clone(), b"mac".to_vec()));
        let permissions = json!({
            "0.0": ["a"], "0.1": ["a", "b"], "1.0": ["a"], "1.1": ["a", "b"],
            "2.0": [], "2.1": [], "3.0": [], "3.1": [], "4.0": [], "4.1": [],
        });
        assert_eq!(opened.parts["services"][0]["permissions"], permissions);
        let content = zlib::decompress(&base64_decode(&token[3..]).unwrap()).unwrap();
        let pack = |content: &[u8]| format!("{VERSION}{}", base64(&zlib::compress(content)));
        for end in 0..content.len() {
            assert!(open(&pack(&content[..end])).is_none(), "{end}");
        }
        assert!(open(&pack(&[&content[..], b"x"].concat())).is_none());
        for text in ["", "007", "006eJw=", &token[1..], &token[3..]] {
            assert!(open(text).is_none(), "{text}");
        }
    }
}

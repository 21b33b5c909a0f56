//! The bytes that are signed for Agora: an access token of version 007.
//!
//! All numbers have the least significant byte first, and each text follows its length, so no two tokens have the same
//! bytes. The alphabets and the lengths of ids and names are checked before.

use crate::crypto::mac::HmacSha256;
use crate::crypto::{base64, hex};
use crate::vendor::zlib;

/// The version, which is the start of a token.
pub(super) const VERSION: &str = "007";

/// The kinds of services in a token.
pub(super) mod kind {
    pub(in crate::vendor::agora) const RTC: u16 = 1;
    pub(in crate::vendor::agora) const RTM: u16 = 2;
    pub(in crate::vendor::agora) const CHAT: u16 = 5;
    pub(in crate::vendor::agora) const RTM2: u16 = 8;
}

/// What a token permits. The first privilege of each kind is to enter: a user of Chat, a login, a join. The second
/// privilege of Chat administrates the whole app. No caller gets a token with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// Agora Chat, as a user.
    Chat {
        /// The user.
        user: &'a str,
    },
    /// The administration of the Chat app, for requests of this program to Agora.
    ChatAdministration,
    /// Signaling (RTM2).
    Signaling {
        /// The user.
        user: &'a str,
        /// The channels to receive from.
        read: Vec<&'a str>,
        /// The channels to send to.
        write: Vec<&'a str>,
    },
    /// A channel of RTC.
    Rtc {
        /// The user. Agora reads an empty user as any user.
        user: &'a str,
        /// The channel.
        channel: &'a str,
        /// Whether the user can send audio, video and data.
        publishes: bool,
    },
}

impl Service<'_> {
    fn kind(&self) -> u16 {
        match self {
            Service::Chat { .. } | Service::ChatAdministration => kind::CHAT,
            Service::Signaling { .. } => kind::RTM2,
            Service::Rtc { .. } => kind::RTC,
        }
    }

    fn privileges(&self) -> &'static [u16] {
        match self {
            Service::Rtc { publishes: true, .. } => &[1, 2, 3, 4],
            Service::ChatAdministration => &[2],
            Service::Chat { .. } | Service::Signaling { .. } | Service::Rtc { .. } => &[1],
        }
    }

    fn write_to(&self, bytes: &mut Bytes, ttl_seconds: u32) {
        bytes.push_u16(self.kind());
        bytes.push_length(self.privileges().len());
        for privilege in self.privileges() {
            bytes.push_u16(*privilege);
            bytes.push_u32(ttl_seconds);
        }
        match self {
            Service::Chat { user } => bytes.push_text(user),
            Service::ChatAdministration => bytes.push_text(""),
            Service::Rtc { user, channel, .. } => {
                bytes.push_text(channel);
                bytes.push_text(user);
            }
            Service::Signaling { user, read, write } => {
                bytes.push_text(user);
                bytes.push_permissions(read, write);
            }
        }
    }
}

/// The parts of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken<'a> {
    /// The id of the app at Agora.
    pub app_id: &'a str,
    /// The time of issue in Unix seconds.
    pub issued_at: u32,
    /// The lifetime of the token and of its privileges, in seconds.
    pub ttl_seconds: u32,
    /// A random number, which also selects the key.
    pub salt: u32,
    /// What the user can do.
    pub service: Service<'a>,
}

impl AccessToken<'_> {
    /// Returns the bytes to sign.
    pub fn to_bytes(&self) -> SignedBytes {
        let mut bytes = Bytes(Vec::with_capacity(256));
        bytes.push_text(self.app_id);
        for number in [self.issued_at, self.ttl_seconds, self.salt] {
            bytes.push_u32(number);
        }
        bytes.push_u16(1);
        self.service.write_to(&mut bytes, self.ttl_seconds);
        SignedBytes(bytes.0)
    }
}

/// The bytes to sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedBytes(pub Vec<u8>);

impl SignedBytes {
    /// Returns the bytes in hex.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Returns the MAC with this certificate. Its key comes from the certificate, the time of issue and the salt, which
    /// are a part of the bytes.
    pub fn mac(&self, certificate: &[u8]) -> Option<[u8; 32]> {
        let length = usize::from(u16::from_le_bytes(self.0.first_chunk().copied()?));
        let number = |at: usize| self.0.get(2 + length + at..)?.first_chunk::<4>();
        let by_time = HmacSha256::new(number(0)?).mac(certificate);
        let key = HmacSha256::new(number(8)?).mac(&by_time);
        Some(HmacSha256::new(&key).mac(&self.0))
    }

    /// Returns the token with this MAC.
    pub(super) fn token(&self, mac: &[u8]) -> String {
        let mut content = Bytes(Vec::with_capacity(2 + mac.len() + self.0.len()));
        content.push_length(mac.len());
        content.0.extend(mac);
        content.0.extend(&self.0);
        format!("{VERSION}{}", base64(&zlib::compress(&content.0)))
    }
}

/// The kinds of resources in the permissions of Signaling, in order. Names of channels are the same for messages and
/// streams. Nothing is granted for groups of channels, groups of servers, and users.
const GRANTED_RESOURCES: u16 = 2;
const ALL_RESOURCES: u16 = 5;

struct Bytes(Vec<u8>);

impl Bytes {
    fn push_u16(&mut self, number: u16) {
        self.0.extend(number.to_le_bytes());
    }

    fn push_u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    /// Writes a length. The lengths of all texts and lists are checked before, so it fits.
    fn push_length(&mut self, length: usize) {
        self.push_u16(u16::try_from(length).unwrap_or(u16::MAX));
    }

    fn push_text(&mut self, text: &str) {
        self.push_length(text.len());
        self.0.extend(text.as_bytes());
    }

    /// Writes a list for each kind of resource and for both permissions, also where nothing is granted.
    fn push_permissions(&mut self, read: &[&str], write: &[&str]) {
        self.push_u16(ALL_RESOURCES);
        for resource in 0..ALL_RESOURCES {
            self.push_u16(resource);
            self.push_u16(2);
            for (permission, names) in [(0, read), (1, write)] {
                let names = if resource < GRANTED_RESOURCES { names } else { &[] };
                self.push_u16(permission);
                self.push_length(names.len());
                for name in names {
                    self.push_text(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The expected bytes are from the library `agora-token` 2.0.6 for Node.js.
    #[test]
    fn the_token_of_the_app_is_that_of_the_library() {
        let token = AccessToken {
            app_id: "970CA35de60c44645bbae8a215061b33",
            issued_at: 1_111_111,
            ttl_seconds: 600,
            salt: 1,
            service: Service::ChatAdministration,
        };
        let expected = "2000393730434133356465363063343436343562626165386132313530363162333347f41000580200000100000001\
            00050001000200580200000000";
        assert_eq!(token.to_bytes().to_hex(), expected);
    }

    #[test]
    fn no_two_services_have_the_same_bytes() {
        let names = ["a", "b", "aa", "ab", "a\u{1}\0b"];
        let mut services = Vec::new();
        for user in names {
            services.push(Service::Chat { user });
            for channel in names {
                services.extend([true, false].map(|publishes| Service::Rtc { user, channel, publishes }));
                for other in names.into_iter().filter(|other| *other != channel) {
                    services.push(Service::Signaling { user, read: vec![channel, other], write: Vec::new() });
                    services.push(Service::Signaling { user, read: vec![channel], write: vec![other] });
                    services.push(Service::Signaling { user, read: Vec::new(), write: vec![channel, other] });
                }
            }
        }
        let token = |service| AccessToken { app_id: "x", issued_at: 1, ttl_seconds: 2, salt: 3, service }.to_bytes();
        let count = services.len();
        assert_eq!(services.into_iter().map(token).collect::<HashSet<_>>().len(), count);
    }

    #[test]
    fn bytes_that_are_cut_have_no_mac() {
        let service = Service::Chat { user: "tom" };
        let bytes = AccessToken { app_id: "x", issued_at: 1, ttl_seconds: 2, salt: 3, service }.to_bytes();
        assert!(bytes.mac(b"certificate").is_some());
        for end in 0..15 {
            assert_eq!(SignedBytes(bytes.0[..end].to_vec()).mac(b"certificate"), None, "{end}");
        }
    }
}

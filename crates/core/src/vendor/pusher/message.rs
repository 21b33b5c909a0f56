//! The texts that are signed for Pusher Channels.
//!
//! Pusher's texts join their parts with `:`. The alphabets of the parts keep each text to one meaning: a socket id has
//! only digits and one `.`, and a channel's name has no `:`. So the first `:` ends the socket id, a second `:` right
//! behind it marks a text for a user, and otherwise the next `:` ends the channel's name and starts the data. The same
//! secret signs requests to Pusher's interface, which start with the name of a method, and webhooks, which start with
//! `{`. Neither starts with a digit.

use std::fmt;

use crate::vendor::InvalidRequest;

/// The longest name of a channel, in characters.
const MAX_CHANNEL_CHARS: usize = 200;

/// The id of a connection, which Pusher generates: digits, `.`, digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketId(String);

impl SocketId {
    /// Reads a socket id.
    ///
    /// # Errors
    /// Returns an error if the text is not digits, `.` and digits.
    pub fn parse(text: &str) -> Result<SocketId, InvalidRequest> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once('.') {
            Some((server, connection)) if text.len() <= 64 && is_number(server) && is_number(connection) => {
                Ok(SocketId(text.to_owned()))
            }
            Some(_) | None => {
                Err(InvalidRequest::new("socket_id", "must be the id of a connection: digits, `.`, digits"))
            }
        }
    }
}

/// What a channel offers, by the start of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// `private-` and `private-cache-`.
    Private,
    /// `private-encrypted-` and `private-encrypted-cache-`: the server cannot read the messages, and clients cannot
    /// send.
    Encrypted,
    /// `presence-` and `presence-cache-`: members see each other.
    Presence,
}

/// A channel that needs an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    name: String,
    kind: ChannelKind,
    /// The length of the part of the name that says the kind.
    prefix: usize,
}

/// The starts of names, the longest first where one contains another.
const PREFIXES: [(&str, ChannelKind); 6] = [
    ("private-encrypted-cache-", ChannelKind::Encrypted),
    ("private-encrypted-", ChannelKind::Encrypted),
    ("private-cache-", ChannelKind::Private),
    ("private-", ChannelKind::Private),
    ("presence-cache-", ChannelKind::Presence),
    ("presence-", ChannelKind::Presence),
];

impl Channel {
    /// Reads the name of a channel.
    ///
    /// # Errors
    /// Returns an error if Pusher does not know such a name, or if channels with this name need no authorization.
    pub fn parse(name: &str) -> Result<Channel, InvalidRequest> {
        let refuse = |message: &str| Err(InvalidRequest::new("channel_name", message));
        if name.is_empty() || name.len() > MAX_CHANNEL_CHARS || !name.bytes().all(is_name_byte) {
            return refuse("must be 1 to 200 letters, digits and `_` `-` `=` `@` `,` `.` `;`");
        }
        let Some((prefix, kind)) = PREFIXES.into_iter().find(|(prefix, _)| name.starts_with(prefix)) else {
            return refuse("must start with `private-` or `presence-`: other channels need no authorization");
        };
        if name.len() == prefix.len() {
            return refuse("must have a name after the kind of the channel");
        }
        Ok(Channel { name: name.to_owned(), kind, prefix: prefix.len() })
    }

    /// Returns the whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind.
    pub fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// Returns the name without the part that says the kind. The policy decides about this name.
    pub fn conversation(&self) -> &str {
        &self.name[self.prefix..]
    }
}

/// Returns whether Pusher allows this byte in names of channels and in user ids.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'@' | b',' | b'.' | b';')
}

/// A text to sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthText(String);

impl AuthText {
    /// Returns the text that lets a connection subscribe to a channel. `data` is the JSON about the user, for presence
    /// channels.
    pub fn channel(SocketId(socket): &SocketId, channel: &Channel, data: Option<&str>) -> AuthText {
        let name = channel.name();
        AuthText(data.map_or_else(|| format!("{socket}:{name}"), |data| format!("{socket}:{name}:{data}")))
    }

    /// Returns the text that signs a user in on a connection. `data` is the JSON about the user.
    pub fn user(SocketId(socket): &SocketId, data: &str) -> AuthText {
        AuthText(format!("{socket}::user::{data}"))
    }

    /// Returns the text to sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuthText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_kind_is_not_a_part_of_the_conversation() {
        use ChannelKind::{Encrypted, Presence, Private};
        for (name, kind, conversation) in [
            ("private-chat.42", Private, "chat.42"),
            ("private-cache-chat.42", Private, "chat.42"),
            ("private-encrypted-vault", Encrypted, "vault"),
            ("private-encrypted-cache-vault", Encrypted, "vault"),
            ("presence-chat.42", Presence, "chat.42"),
            ("presence-cache-news", Presence, "news"),
            ("private-Az09_-=@,.;", Private, "Az09_-=@,.;"),
            ("private-encryptedx", Private, "encryptedx"),
        ] {
            let channel = Channel::parse(name).unwrap();
            assert_eq!((channel.name(), channel.kind(), channel.conversation()), (name, kind, conversation));
        }
    }

    #[test]
    fn names_that_could_shift_a_text_are_refused() {
        let long = format!("private-{}", "x".repeat(193));
        for name in [
            "",
            "private-",
            "presence-",
            "private-cache-",
            "private-encrypted-",
            "private-encrypted-cache-",
            "lobby",
            "cache-lobby",
            "Private-lobby",
            "#server-to-user-tom",
            "private-a:b",
            ":user::{\"id\":\"admin\"}",
            "presence-room:{\"user_id\":\"admin\"}",
            "private-a b",
            "private-a\n",
            "private-é",
            "private-*",
            &long,
        ] {
            assert!(Channel::parse(name).is_err(), "{name:?}");
        }
        assert!(Channel::parse(&format!("private-{}", "x".repeat(192))).is_ok());
        for socket in ["", "1", "1.", ".2", "1.2.3", "1.2:private-x", "1.2::user::{}", "１.２", "1.2\n", "+1.2", "1.-2"]
        {
            assert!(SocketId::parse(socket).is_err(), "{socket:?}");
        }
    }

    /// All texts of a small alphabet that is rich in delimiters: no text has two meanings.
    #[test]
    fn no_text_has_two_meanings() {
        let words = words(&["1", ".", ":", "private-", "presence-", "user", "{}", "a"], 4);
        let sockets: Vec<_> = words.iter().filter_map(|word| SocketId::parse(word).ok()).collect();
        let channels: Vec<_> = words.iter().filter_map(|word| Channel::parse(word).ok()).collect();
        assert!(sockets.len() > 2 && channels.len() > 50);
        let mut meanings: HashMap<AuthText, String> = HashMap::new();
        let mut add = |text: AuthText, meaning: String| {
            assert_eq!(meanings.insert(text.clone(), meaning), None, "{text}");
        };
        for socket in &sockets {
            for channel in &channels {
                add(AuthText::channel(socket, channel, None), format!("{socket:?} {channel:?}"));
                for data in ["{}", "{}:{}", ":user::{}"] {
                    add(AuthText::channel(socket, channel, Some(data)), format!("{socket:?} {channel:?} {data}"));
                }
            }
            for data in &words {
                add(AuthText::user(socket, data), format!("{socket:?} user {data}"));
            }
        }
        let is_foreign = |text: &AuthText| text.as_str().starts_with("POST\n") || text.as_str().starts_with('{');
        assert!(!meanings.keys().any(is_foreign));
    }

    /// All sequences of at most `most` parts, each text once.
    fn words(parts: &[&str], most: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..most {
            last = last.iter().flat_map(|word| parts.iter().map(move |part| format!("{word}{part}"))).collect();
            all.extend(last.clone());
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

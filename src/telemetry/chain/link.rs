//! The end of a chained line: its format, how to write it and how to parse it. [`Chain`] adds it to lines when they are
//! written.
//!
//! A chained line is an audit line with one more member at its end, `chain`:
//!
//! - `id`: the chain, 32 hex digits
//! - `seq`: the number of the line in its chain, from 0
//! - `prev`: the hash of the previous line; `null` in the first line
//! - `hash`: the hash of this line. A keyed chain has `key` and `mac` instead: the id of the key, and the MAC of this
//!   line
//!
//! The hash (SHA-256, FIPS 180-4) or MAC (HMAC-SHA256, RFC 2104) covers the bytes of the line before `,"hash":` or
//! `,"mac":`.

use std::fmt;

use serde::Deserialize;

use crate::crypto;
use crate::crypto::mac::HmacSha256;
use crate::secret::Secret;

/// The hash or MAC of a line.
pub type Hash = [u8; 32];

/// The text between a line and its link.
const PREFIX: &[u8] = br#","chain":"#;

/// The maximum length of a link, in bytes.
const MAX_LINK_LENGTH: usize = 320;

/// The message whose MAC is the id of a key. No line can be equal to it, because lines begin with `{`.
const KEY_ID_MESSAGE: &[u8] = b"chat-signer audit chain key";

/// The id of a chain: a random value that is created at the start of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId(pub(super) [u8; 16]);

/// The id of a key. It distinguishes keys and is not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

/// The key of a keyed chain.
#[derive(Clone, Debug)]
pub struct ChainKey {
    /// The id of the key.
    pub id: KeyId,
    mac: HmacSha256,
}

/// The place of a line in its chain, as stored in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// The chain.
    pub id: ChainId,
    /// The number of the line, from 0.
    pub seq: u64,
    /// The hash of the previous line. `None`: this is the first line.
    pub prev: Option<Hash>,
    /// The id of the key. `None`: the chain is not keyed.
    pub key: Option<KeyId>,
    /// The hash or MAC of the line itself.
    pub hash: Hash,
}

/// The hash chain of one process: the state that the next line needs.
#[derive(Clone, Debug)]
pub struct Chain {
    id: ChainId,
    key: Option<ChainKey>,
    /// The number of the next line.
    seq: u64,
    /// The hash of the last line.
    prev: Option<Hash>,
}

impl ChainKey {
    /// Creates the key from this secret.
    pub fn new(secret: &Secret) -> ChainKey {
        let mac = HmacSha256::new(secret.expose());
        let [a, b, c, d, ..] = mac.mac(KEY_ID_MESSAGE);
        ChainKey { id: KeyId([a, b, c, d]), mac }
    }
}

/// Returns the hash of the covered bytes, or their MAC if there is a key.
pub(super) fn hash(covered: &[u8], key: Option<&ChainKey>) -> Hash {
    key.map_or_else(|| crypto::sha256(covered), |key| key.mac.mac(covered))
}

impl ChainLink {
    /// Splits a line without its newline into the bytes that its hash covers, and its link. Returns `None` if the line
    /// has no link, or if the link is not exactly as this program writes it.
    pub fn parse(text: &[u8]) -> Option<(&[u8], ChainLink)> {
        let tail_at = text.len().saturating_sub(MAX_LINK_LENGTH);
        let at = tail_at + text.get(tail_at..)?.windows(PREFIX.len()).rposition(|window| window == PREFIX)?;
        let object = text.get(at + PREFIX.len()..)?.strip_suffix(b"}")?;
        let link = serde_json::from_slice::<Members<'_>>(object).ok()?.link()?;
        let mut written = Vec::with_capacity(MAX_LINK_LENGTH);
        link.write_covered(&mut written);
        let covered = text.get(..at + written.len())?;
        link.write_hash(&mut written);
        (text.get(at..) == Some(&written)).then_some((covered, link))
    }

    /// Appends the part of the link that the line's hash covers.
    pub(super) fn write_covered(&self, to: &mut Vec<u8>) {
        let prev = self.prev.map_or_else(|| "null".to_owned(), |prev| format!("\"{}\"", crypto::hex(&prev)));
        let key = self.key.map_or_else(String::new, |key| format!(",\"key\":\"{key}\""));
        to.extend_from_slice(PREFIX);
        to.extend_from_slice(format!(r#"{{"id":"{}","seq":{},"prev":{prev}{key}"#, self.id, self.seq).as_bytes());
    }

    /// Appends the hash and the end of the line.
    pub(super) fn write_hash(&self, to: &mut Vec<u8>) {
        let name = if self.key.is_some() { "mac" } else { "hash" };
        to.extend_from_slice(format!(r#","{name}":"{}"}}}}"#, crypto::hex(&self.hash)).as_bytes());
    }
}

/// The members of a link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    id: &'a str,
    seq: u64,
    prev: Option<&'a str>,
    key: Option<&'a str>,
    hash: Option<&'a str>,
    mac: Option<&'a str>,
}

impl Members<'_> {
    fn link(&self) -> Option<ChainLink> {
        let (key, hash) = match (self.key, self.hash, self.mac) {
            (None, Some(hash), None) => (None, hash),
            (Some(key), None, Some(mac)) => (Some(KeyId(parse_hex(key)?)), mac),
            _ => return None,
        };
        let prev = match self.prev {
            Some(prev) => Some(parse_hex(prev)?),
            None => None,
        };
        let has_place = (self.seq == 0) == prev.is_none();
        has_place.then_some(ChainLink {
            id: ChainId::parse(self.id)?,
            seq: self.seq,
            prev,
            key,
            hash: parse_hex(hash)?,
        })
    }
}

/// Parses `N` bytes in hex.
pub(super) fn parse_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(hex, &mut bytes).ok()?;
    Some(bytes)
}

impl Chain {
    /// Creates a chain without lines. `id` must be random. With a key, the chain is keyed.
    pub fn new(id: [u8; 16], key: Option<ChainKey>) -> Chain {
        Chain { id: ChainId(id), key, seq: 0, prev: None }
    }

    /// Appends these lines to `to`, each with its link. Text that is not a JSON object with a newline is appended
    /// unchanged.
    pub fn append(&mut self, lines: &[u8], to: &mut Vec<u8>) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.append_line(line, to);
        }
    }

    /// Continues after the first `count` of these lines, as if [`Chain::append`] was called for these lines only.
    pub fn advance(&mut self, lines: &[u8], count: usize) {
        let mut discarded = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n').take(count) {
            discarded.clear();
            self.append_line(line, &mut discarded);
        }
    }

    fn append_line(&mut self, text: &[u8], to: &mut Vec<u8>) {
        let Some(body) = text.strip_suffix(b"}\n") else { return to.extend_from_slice(text) };
        let start = to.len();
        to.extend_from_slice(body);
        let key = self.key.as_ref();
        let mut link =
            ChainLink { id: self.id, seq: self.seq, prev: self.prev, key: key.map(|key| key.id), hash: [0; 32] };
        link.write_covered(to);
        link.hash = hash(to.get(start..).unwrap_or_default(), key);
        link.write_hash(to);
        to.push(b'\n');
        self.seq = self.seq.saturating_add(1);
        self.prev = Some(link.hash);
    }
}

impl ChainId {
    /// Parses an id in hex.
    pub fn parse(hex: &str) -> Option<ChainId> {
        parse_hex(hex).map(ChainId)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crypto::hex(&self.0))
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crypto::hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

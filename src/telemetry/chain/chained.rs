//! Adds chain links to lines when they are written.

use super::link::{self, ChainId, ChainKey, ChainLink, Hash};

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
        link.hash = link::hash(to.get(start..).unwrap_or_default(), key);
        link.write_hash(to);
        to.push(b'\n');
        self.seq = self.seq.saturating_add(1);
        self.prev = Some(link.hash);
    }
}

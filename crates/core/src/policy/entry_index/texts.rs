//! Short texts in one block of memory, without an allocation for each.
//!
//! A text is stored with its length and the number of its uses. When nothing uses it any more, its place is free for
//! the next text of the same size. So the block never has to be rearranged.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;

/// Places begin at multiples of this number of bytes.
const UNIT: usize = 4;

/// The size of the number of uses, which stands before each text.
const USES_SIZE: usize = 4;

/// How many shared texts are remembered, so that the next equal text is not stored again.
const REMEMBERED_TEXTS: usize = 1024;

/// The place of a text, in units. The first unit of the block is not used, so it is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextId(NonZeroU32);

/// Texts in one block of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct TextArena {
    bytes: Vec<u8>,
    /// The free places, by their number of units.
    free: BTreeMap<usize, Vec<TextId>>,
    /// The last shared texts, by hash. Each counts as a use.
    remembered: Vec<Option<TextId>>,
    hasher: RandomState,
}

impl TextArena {
    /// Stores a text. It has one use.
    pub(super) fn add(&mut self, text: &str) -> TextId {
        let mut place = vec![0; USES_SIZE];
        place[0] = 1;
        push_length(&mut place, text.len());
        place.extend_from_slice(text.as_bytes());
        place.resize(place.len().next_multiple_of(UNIT), 0);
        if let Some(id) = self.free.get_mut(&(place.len() / UNIT)).and_then(Vec::pop) {
            self.bytes[id.start()..][..place.len()].copy_from_slice(&place);
            return id;
        }
        if self.bytes.is_empty() {
            self.bytes.resize(UNIT, 0);
        }
        let id = TextId::from_start(self.bytes.len());
        self.bytes.extend_from_slice(&place);
        id
    }

    /// Stores a text that possibly equals an earlier text, such as a reason. If the earlier text is remembered, it gets
    /// another use.
    pub(super) fn share(&mut self, text: &str) -> TextId {
        self.remembered.resize(REMEMBERED_TEXTS, None);
        let slot = usize::try_from(self.hasher.hash_one(text) % REMEMBERED_TEXTS as u64).unwrap_or_default();
        let known = self.remembered[slot];
        let id = match known.filter(|known| self.bytes_of(*known) == text.as_bytes()) {
            Some(known) => known,
            None => self.add(text),
        };
        if known == Some(id) {
            self.use_again(id);
        } else {
            if let Some(known) = known {
                self.release(known);
            }
            self.use_again(id);
            self.remembered[slot] = Some(id);
        }
        id
    }

    /// Adds a use of a text.
    pub(super) fn use_again(&mut self, id: TextId) {
        self.set_uses(id, self.uses(id).saturating_add(1));
    }

    /// Ends a use of a text. Without a use, its place is free.
    pub(super) fn release(&mut self, id: TextId) {
        let left = self.uses(id).saturating_sub(1);
        self.set_uses(id, left);
        if left == 0 {
            self.free.entry(self.units(id)).or_default().push(id);
        }
    }

    /// Returns the bytes of a text.
    pub(super) fn bytes_of(&self, id: TextId) -> &[u8] {
        let (length, rest) = split_length(&self.bytes[id.start() + USES_SIZE..]);
        &rest[..length]
    }

    /// Returns a text.
    pub(super) fn get(&self, id: TextId) -> &str {
        // Only texts are stored.
        str::from_utf8(self.bytes_of(id)).unwrap_or_default()
    }

    /// Returns the size of the block, in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    fn units(&self, id: TextId) -> usize {
        let start = id.start() + USES_SIZE;
        let (length, rest) = split_length(&self.bytes[start..]);
        (self.bytes.len() - rest.len() + length - id.start()).div_ceil(UNIT)
    }

    fn uses(&self, id: TextId) -> u32 {
        self.bytes[id.start()..].first_chunk().map_or(0, |uses| u32::from_le_bytes(*uses))
    }

    fn set_uses(&mut self, id: TextId, uses: u32) {
        self.bytes[id.start()..][..USES_SIZE].copy_from_slice(&uses.to_le_bytes());
    }
}

impl TextId {
    /// The largest block that can be addressed, in bytes.
    pub(super) const MAX_BLOCK: usize = u32::MAX as usize * UNIT;

    /// Returns the id of a text that begins at this byte.
    fn from_start(start: usize) -> TextId {
        let unit = u32::try_from(start / UNIT).unwrap_or(u32::MAX);
        TextId(NonZeroU32::new(unit).unwrap_or(NonZeroU32::MIN))
    }

    fn start(self) -> usize {
        self.0.get() as usize * UNIT
    }
}

/// Appends a length in groups of seven bits, the lowest first. The highest bit says that another group follows.
fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        bytes.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    bytes.push(length.to_le_bytes()[0]);
}

/// Returns the length at the beginning of these bytes, and the bytes after it.
fn split_length(bytes: &[u8]) -> (usize, &[u8]) {
    let mut length = 0;
    for (group, byte) in bytes.iter().enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return (length, &bytes[group + 1..]);
        }
    }
    (0, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_are_kept_and_their_places_are_used_again() {
        let texts: Vec<String> = [0, 1, 3, 4, 127, 128, 16_383, 16_384].map(|length| "ä".repeat(length)).into();
        let mut arena = TextArena::default();
        let ids: Vec<TextId> = texts.iter().map(|text| arena.add(text)).collect();
        let size = arena.size();
        for _ in 0..3 {
            // The place that was released last is used first.
            for (id, text) in ids.iter().zip(&texts).rev() {
                assert_eq!(arena.get(*id), text);
                arena.use_again(*id);
                arena.release(*id);
                arena.release(*id);
            }
            for (id, text) in ids.iter().zip(&texts) {
                assert_eq!(arena.add(text), *id);
            }
        }
        assert_eq!(arena.size(), size);
    }

    #[test]
    fn an_equal_text_is_shared_until_its_last_use() {
        let mut arena = TextArena::default();
        let ids: Vec<TextId> = (0..10).map(|_| arena.share("spam")).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        for id in &ids {
            arena.release(*id);
        }
        assert_eq!(arena.share("spam"), ids[0]);
        let size = arena.size();
        for number in 0..100_000 {
            let id = arena.share(&format!("reason {number:06}"));
            arena.release(id);
        }
        assert!(arena.size() < size + 4 * REMEMBERED_TEXTS * 20, "{} bytes", arena.size());
    }
}

//! The numbers of rows in sort order. The caller compares the rows.

use std::cmp::Ordering;

/// The number of a row.
pub(crate) type RowNumber = u32;

/// The maximum length of a chunk.
const CHUNK_LENGTH: usize = 512;

/// The numbers of rows in sort order, in chunks, so that a change moves few numbers. No chunk is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct SortedRows {
    chunks: Vec<Vec<RowNumber>>,
}

impl SortedRows {
    /// Takes over rows that are in sort order.
    pub(crate) fn from_sorted(rows: &[RowNumber]) -> SortedRows {
        SortedRows { chunks: rows.chunks(CHUNK_LENGTH).map(<[RowNumber]>::to_vec).collect() }
    }

    /// Inserts a row. `compare` compares a row of the list with the new row.
    pub(crate) fn insert(&mut self, row: RowNumber, compare: impl Fn(RowNumber) -> Ordering) {
        let place = self.chunk_of(|other| compare(other).is_lt()).min(self.chunks.len().saturating_sub(1));
        let is_last = place + 1 == self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(place) else { return self.chunks.push(vec![row]) };
        let position = chunk.partition_point(|other| compare(*other).is_lt());
        if chunk.len() < CHUNK_LENGTH {
            return chunk.insert(position, row);
        }
        // Rows that arrive in sort order fill each chunk.
        let mut rest = if is_last && position == chunk.len() { Vec::new() } else { chunk.split_off(CHUNK_LENGTH / 2) };
        match position.checked_sub(chunk.len()) {
            Some(position) => rest.insert(position, row),
            None => chunk.insert(position, row),
        }
        self.chunks.insert(place + 1, rest);
    }

    /// Removes a row. `compare` compares a row of the list with this row.
    pub(crate) fn remove(&mut self, compare: impl Fn(RowNumber) -> Ordering) {
        let place = self.chunk_of(|other| compare(other).is_lt());
        let Some(chunk) = self.chunks.get_mut(place) else { return };
        if let Ok(position) = chunk.binary_search_by(|other| compare(*other)) {
            chunk.remove(position);
            if chunk.is_empty() {
                self.chunks.remove(place);
            }
        }
    }

    /// Returns the rows for which `is_before` returns false. In sort order, they come after those for which it returns
    /// true.
    pub(crate) fn after(&self, is_before: impl Fn(RowNumber) -> bool) -> impl Iterator<Item = RowNumber> {
        let place = self.chunk_of(&is_before);
        let (first, rest) = match &self.chunks[place..] {
            [chunk, rest @ ..] => (&chunk[chunk.partition_point(|row| is_before(*row))..], rest),
            [] => (&[][..], &[][..]),
        };
        first.iter().chain(rest.iter().flatten()).copied()
    }

    /// Returns all rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RowNumber> {
        self.chunks.iter().flatten().copied()
    }

    /// Returns the first chunk that has a row for which `is_before` returns false, or the number of chunks.
    fn chunk_of(&self, is_before: impl Fn(RowNumber) -> bool) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| is_before(*last)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_stay_in_order(
            sorted in proptest::collection::btree_set(0..5000_u32, 0..3000),
            changes in proptest::collection::vec((any::<bool>(), 0..5000_u32), 0..3000),
            from in 0..5000_u32,
        ) {
            let mut model: BTreeSet<RowNumber> = sorted;
            let mut rows = SortedRows::from_sorted(&model.iter().copied().collect::<Vec<_>>());
            for (is_insert, row) in changes {
                if !is_insert {
                    model.remove(&row);
                    rows.remove(|other| other.cmp(&row));
                } else if model.insert(row) {
                    rows.insert(row, |other| other.cmp(&row));
                }
            }
            prop_assert!(rows.iter().eq(model.iter().copied()));
            prop_assert!(rows.after(|row| row < from).eq(model.range(from..).copied()));
            prop_assert!(rows.chunks.iter().all(|chunk| (1..=CHUNK_LENGTH).contains(&chunk.len())));
        }
    }

    #[test]
    fn rows_that_arrive_in_order_fill_the_chunks() {
        let mut rows = SortedRows::default();
        for row in 0..10_000 {
            rows.insert(row, |other: RowNumber| other.cmp(&row));
        }
        assert_eq!(rows.chunks.len(), 10_000_usize.div_ceil(CHUNK_LENGTH));
    }
}

//! Values that many entries share, each stored once.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// The number of a value in a [`Pool`].
pub(super) type PoolId = u32;

/// Values that are each stored once, with the number of their uses. The place of a value without a use is free for
/// another value.
#[derive(Clone, Debug)]
pub(super) struct Pool<T> {
    values: Vec<PooledValue<T>>,
    free: Vec<PoolId>,
    /// The numbers of the values in use, by hash.
    ids: HashTable<PoolId>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct PooledValue<T> {
    value: T,
    uses: u32,
}

/// Returns the number that the next value gets. The index is full before the numbers end: see `EntryRows::is_full`.
pub(super) fn next_number<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool { values: Vec::new(), free: Vec::new(), ids: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<T: Eq + Hash> Pool<T> {
    /// Adds a use of a value. Stores the value if it is not there yet.
    pub(super) fn add(&mut self, value: T) -> PoolId {
        let Pool { values, free, ids, hasher } = self;
        let hash = hasher.hash_one(&value);
        if let Some(id) = ids.find(hash, |id| values[*id as usize].value == value) {
            values[*id as usize].uses += 1;
            return *id;
        }
        let new = PooledValue { value, uses: 1 };
        let id = free.pop().unwrap_or_else(|| next_number(values));
        match values.get_mut(id as usize) {
            Some(place) => *place = new,
            None => values.push(new),
        }
        ids.insert_unique(hash, id, |id| hasher.hash_one(&values[*id as usize].value));
        id
    }

    /// Ends a use of a value.
    pub(super) fn release(&mut self, id: PoolId) {
        let PooledValue { value, uses } = &mut self.values[id as usize];
        *uses -= 1;
        if *uses == 0 {
            if let Ok(known) = self.ids.find_entry(self.hasher.hash_one(&*value), |known| *known == id) {
                known.remove();
            }
            self.free.push(id);
        }
    }

    /// Returns a value.
    pub(super) fn get(&self, id: PoolId) -> &T {
        &self.values[id as usize].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_stored_once_and_its_place_is_used_again() {
        let mut pool = Pool::default();
        let ids: Vec<PoolId> = (0..1000).map(|number| pool.add(format!("{}", number % 10))).collect();
        assert_eq!(pool.values.len(), 10);
        assert_eq!(pool.get(ids[13]), "3");
        for id in ids.iter().filter(|id| **id == ids[3]) {
            pool.release(*id);
        }
        for number in 0..1000 {
            let id = pool.add(format!("other {number}"));
            pool.release(id);
        }
        assert_eq!(pool.values.len(), 10);
        assert_eq!(pool.add("4".to_owned()), ids[4]);
    }
}

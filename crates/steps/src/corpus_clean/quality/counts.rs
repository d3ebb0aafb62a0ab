//! Counts hashes with open addressing. One table serves all measures of a document, so that it stays in the cache.

/// How often each hash has occurred.
#[derive(Default)]
pub struct Counts {
    /// Zero marks an empty slot, so a hash of zero is stored as one.
    keys: Vec<u64>,
    counts: Vec<u32>,
}

impl Counts {
    /// Empties the table and makes room for `distinct` hashes.
    pub fn clear(&mut self, distinct: usize) {
        // At most half of the slots are taken, so a search always ends.
        let slots = (distinct.max(1) * 2).next_power_of_two();
        self.keys.clear();
        self.keys.resize(slots, 0);
        self.counts.clear();
        self.counts.resize(slots, 0);
    }

    /// Counts one more occurrence and returns how often the hash has occurred, this time included.
    pub fn add(&mut self, hash: u64) -> u32 {
        let key = hash.max(1);
        let mask = self.keys.len() - 1;
        let mut slot = (key >> 7) as usize & mask;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) & mask;
        }
        self.keys[slot] = key;
        self.counts[slot] += 1;
        self.counts[slot]
    }
}

//! Remembers the summaries of series that were asked for lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::summary::{Place, Summary};
use crate::problem::Problem;
use stepwell_store::Reader;

/// Extremes that are remembered in all, of 150 bytes each.
const MOST: usize = 1 << 20;
const MOST_SERIES: usize = 256;

#[derive(Default)]
pub struct Summaries {
    known: Mutex<HashMap<Place, Known>>,
}

struct Known {
    summary: Arc<Mutex<Summary>>,
    used: Instant,
    size: usize,
}

impl Summaries {
    /// Brings the summary of a series up to date, and passes it to `see`.
    ///
    /// # Errors
    /// When its rows cannot be read.
    pub fn with<T>(&self, reader: &Reader, place: &Place, see: impl FnOnce(&Summary) -> T) -> Result<T, Problem> {
        let summary = self.get(place);
        let mut held = summary.lock().unwrap_or_else(PoisonError::into_inner);
        held.follow(reader, place)?;
        let (answer, size) = (see(&held), held.size());
        drop(held);
        self.note(place, size);
        Ok(answer)
    }

    fn get(&self, place: &Place) -> Arc<Mutex<Summary>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Known { summary: Arc::default(), used: Instant::now(), size: 0 };
        let found = known.entry(place.clone()).or_insert_with(new);
        found.used = Instant::now();
        Arc::clone(&found.summary)
    }

    /// Notes the size of a summary, and forgets those that nobody has asked for the longest.
    fn note(&self, place: &Place, size: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get_mut(place) {
            found.size = size;
        }
        let mut total: usize = known.values().map(|known| known.size).sum();
        while known.len() > 1 && (total > MOST || known.len() > MOST_SERIES) {
            let oldest = known.iter().filter(|(other, _)| *other != place).min_by_key(|(_, known)| known.used);
            let Some(oldest) = oldest.map(|(place, _)| place.clone()) else { return };
            total -= known.remove(&oldest).map_or(0, |known| known.size);
        }
    }
}

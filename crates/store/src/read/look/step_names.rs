//! A step by the name that a person gives.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::item::{Match, match_item};

use crate::decode::{Json, each};
use crate::error::StoreError;
use crate::read::reader::Reader;

/// Most candidates that an ambiguous name lists.
const CANDIDATES: usize = 8;

impl Reader {
    /// Resolves a step named by a person: an id, or `FAN_OUT[ITEM]` with the item's name, the file name of its path, or
    /// some fields of its table. A number between the brackets is always a position.
    ///
    /// # Errors
    /// `UnknownStep`, `AmbiguousStep`.
    pub fn resolve_step(&self, run: RunId, text: &str) -> Result<StepId, StoreError> {
        let id = StepId::from(text);
        if self.step_status(run, &id)?.is_some() {
            return Ok(id);
        }
        let Some((parent, item)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) else {
            return Err(StoreError::UnknownStep { run, step: id });
        };
        if !item.is_empty() && item.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(StoreError::UnknownStep { run, step: id });
        }
        let mut found = self.items_like(run, parent, item)?;
        // Names come before parts.
        found.sort_by_key(|(_, how)| *how);
        let best = found.first().map(|(_, how)| *how);
        found.retain(|(_, how)| Some(*how) == best);
        let mut found: Vec<StepId> = found.into_iter().map(|(child, _)| child).collect();
        match found.len() {
            0 => Err(StoreError::UnknownStep { run, step: id }),
            1 => Ok(found.remove(0)),
            count => {
                found.truncate(CANDIDATES);
                Err(StoreError::AmbiguousStep { text: text.to_owned(), count, candidates: found })
            }
        }
    }

    fn items_like(&self, run: RunId, parent: &str, text: &str) -> Result<Vec<(StepId, Match)>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT id, item FROM step WHERE run = ?1 AND parent = ?2 ORDER BY item_index";
            let mut found = Vec::new();
            each(connection, sql, params![run.to_string(), parent], |(child, item): (StepId, Option<Json<_>>)| {
                let how = item.and_then(|Json(item)| match_item(&item, text));
                found.extend(how.map(|how| (child, how)));
                std::ops::ControlFlow::Continue(())
            })?;
            Ok(found)
        })
    }
}

//! Pages of the steps of a run, of which there may be 100,000: a page reads as many rows as it shows, wherever it starts.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, params};

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::StepStatus;

use crate::decode::{Json, collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{StepRow, steps_where};

/// Which steps a page lists; all of them if it is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepFilter {
    pub status: Option<StepStatus>,
    /// Part of an id or of the text of an item, in any case. Reads every step of the run.
    pub text: Option<String>,
}

/// Steps by what a person has to do about them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StepCounts {
    pub total: u64,
    /// Steps that are no items of a fan-out.
    pub top: u64,
    pub failed: u64,
    pub running: u64,
    pub waiting: u64,
    /// Succeeded or skipped.
    pub done: u64,
}

/// The place of a step in the order of pages: failed ones, those at work, fan-outs at work, the others as they are defined.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StepPlace {
    group: i64,
    position: i64,
    /// Of an item in its fan-out; -1 for a step.
    item: i64,
}

/// The groups of [`StepPlace`].
const FAILED: i64 = 0;
const AT_WORK: i64 = 1;
const EXPANDED: i64 = 2;
const OTHERS: i64 = 3;

/// A page of steps, without their artifacts.
#[derive(Clone, PartialEq, Debug)]
pub struct StepPage {
    pub steps: Vec<StepRow>,
    /// The place after which the next page starts; `None` on the last page.
    pub next: Option<StepPlace>,
}

/// As a cursor for clients.
impl fmt::Display for StepPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.group, self.position, self.item)
    }
}

impl FromStr for StepPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<StepPlace, &'static str> {
        let mut parts = text.split('.').map(str::parse::<i64>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(group)), Some(Ok(position)), Some(Ok(item)), None) if (FAILED..=OTHERS).contains(&group) => {
                Ok(StepPlace { group, position, item })
            }
            _ => Err("it is not the cursor of a page of steps"),
        }
    }
}

/// A row that belongs to a page.
type Found = (i64, StepPlace);

impl Reader {
    /// At most `most` steps after a place.
    pub fn step_page(
        &self,
        run: RunId,
        filter: &StepFilter,
        after: Option<StepPlace>,
        most: usize,
    ) -> Result<StepPage, StoreError> {
        self.query(|connection| {
            let run = run.to_string();
            let page = Page { connection, run: &run, status: filter.status, most: most + 1 };
            let text = filter.text.as_ref().map(|text| text.to_ascii_lowercase());
            let mut found = match &text {
                Some(text) => page.with_text(text, after)?,
                None => page.in_order(after)?,
            };
            let next =
                if found.len() > most { found.get(most.saturating_sub(1)).map(|(_, place)| *place) } else { None };
            found.truncate(most);
            Ok(StepPage { steps: page.rows(found)?, next })
        })
    }

    /// The number of steps that a filter lets through; reads every step of the run.
    pub fn count_steps(&self, run: RunId, filter: &StepFilter) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM step WHERE run = ?1 AND (?2 IS NULL OR status = ?2)
                   AND (?3 IS NULL OR instr(lower(id), ?3) OR instr(lower(item), ?3))";
        let text = filter.text.as_ref().map(|text| text.to_ascii_lowercase());
        let values = params![run.to_string(), filter.status.map(StepStatus::as_str), text];
        self.query(|connection| Ok(first::<u64>(connection, sql, values)?.unwrap_or(0)))
    }

    /// The steps of a run in numbers; every fan-out counts as a step too.
    pub fn step_counts(&self, run: RunId) -> Result<StepCounts, StoreError> {
        let sql = "SELECT total, top, failed, done FROM run_tally WHERE run = ?1";
        let now = "SELECT (SELECT count(*) FROM step WHERE run = ?1 AND status = 'running'),
                          (SELECT count(*) FROM step WHERE run = ?1 AND status = 'waiting')";
        self.query(|connection| {
            let key = run.to_string();
            let (total, top, failed, done) = first(connection, sql, [&key])?.unwrap_or_default();
            let (running, waiting) = first(connection, now, [&key])?.unwrap_or_default();
            Ok(StepCounts { total, top, failed, running, waiting, done })
        })
    }
}

struct Page<'p> {
    connection: &'p Connection,
    run: &'p str,
    status: Option<StepStatus>,
    most: usize,
}

impl Page<'_> {
    fn in_order(&self, after: Option<StepPlace>) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for group in after.map_or(FAILED, |place| place.group)..=OTHERS {
            if self.status.is_some_and(|status| group_of(status) != group) {
                continue;
            }
            let after = after.filter(|place| place.group == group).map(|place| (place.position, place.item));
            let left = self.most - found.len();
            found.extend(match group {
                FAILED => self.failed(after, left)?,
                AT_WORK => self.at_work(after, left)?,
                EXPANDED => self.expanded(after, left)?,
                _ => self.others(after, left)?,
            });
            if found.len() >= self.most {
                break;
            }
        }
        Ok(found)
    }

    fn failed(&self, after: Option<(i64, i64)>, most: usize) -> Result<Vec<Found>, StoreError> {
        let (position, item) = after.unwrap_or((-1, -1));
        let items = "SELECT rowid, position, item_index FROM step
                     WHERE run = ?1 AND status = 'failed' AND position = ?2 AND item_index > ?3 ORDER BY item_index LIMIT ?4";
        let mut found = self.collect(FAILED, items, params![self.run, position, item, most as i64])?;
        let rest = "SELECT rowid, position, coalesce(item_index, -1) FROM step
                    WHERE run = ?1 AND status = 'failed' AND position > ?2 ORDER BY position, item_index LIMIT ?3";
        let left = most - found.len();
        found.extend(self.collect(FAILED, rest, params![self.run, position, left as i64])?);
        Ok(found)
    }

    /// As many as there are slots and people to wait for, so they are sorted here.
    fn at_work(&self, after: Option<(i64, i64)>, most: usize) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for status in [StepStatus::Running, StepStatus::Waiting] {
            if self.status.is_some_and(|wanted| wanted != status) {
                continue;
            }
            // Written out, because only then does SQLite use the index of this status.
            let sql = format!(
                "SELECT rowid, position, coalesce(item_index, -1) FROM step WHERE run = ?1 AND status = '{}'",
                status.as_str()
            );
            found.extend(self.collect(AT_WORK, &sql, params![self.run])?);
        }
        found.sort_by_key(|(_, place)| *place);
        found.retain(|(_, place)| after.is_none_or(|after| (place.position, place.item) > after));
        found.truncate(most);
        Ok(found)
    }

    fn expanded(&self, after: Option<(i64, i64)>, most: usize) -> Result<Vec<Found>, StoreError> {
        let sql = "SELECT rowid, position, -1 FROM step WHERE run = ?1 AND status = 'expanded' AND position > ?2
                   ORDER BY position LIMIT ?3";
        let position = after.map_or(-1, |(position, _)| position);
        self.collect(EXPANDED, sql, params![self.run, position, most as i64])
    }

    /// Walks over the steps in their order, each fan-out followed by its items.
    fn others(&self, after: Option<(i64, i64)>, most: usize) -> Result<Vec<Found>, StoreError> {
        /// Steps that are looked at together; more than a page, because many may be of other groups.
        const STRIDE: usize = 500;
        let mut found = Vec::new();
        let mut position = -1;
        if let Some((at, item)) = after {
            let sql = "SELECT id FROM step WHERE run = ?1 AND parent IS NULL AND position = ?2";
            if let Some(parent) = first::<StepId>(self.connection, sql, params![self.run, at])? {
                found = self.items(&parent, item, most)?;
            }
            position = at;
        }
        let sql = "SELECT rowid, id, position, status, children IS NOT NULL FROM step
                   WHERE run = ?1 AND parent IS NULL AND position > ?2 ORDER BY position LIMIT ?3";
        while found.len() < most {
            let tops: Vec<(i64, StepId, i64, StepStatus, bool)> =
                collect(self.connection, sql, params![self.run, position, STRIDE as i64])?;
            let Some(last) = tops.last() else { break };
            position = last.2;
            for (row, id, position, status, is_fan_out) in tops {
                if group_of(status) == OTHERS && self.status.is_none_or(|wanted| wanted == status) {
                    found.push((row, StepPlace { group: OTHERS, position, item: -1 }));
                }
                if is_fan_out && found.len() < most {
                    found.extend(self.items(&id, -1, most - found.len())?);
                }
                if found.len() >= most {
                    break;
                }
            }
        }
        found.truncate(most);
        Ok(found)
    }

    /// The items of a fan-out after one of them, without those of other groups. Items were inserted in their order.
    fn items(&self, parent: &StepId, after: i64, most: usize) -> Result<Vec<Found>, StoreError> {
        let sql = "SELECT rowid, position, item_index FROM step
                   WHERE run = ?1 AND parent = ?2 AND rowid > coalesce((SELECT rowid FROM step WHERE run = ?1 AND id = ?3), 0)
                         AND status NOT IN ('failed', 'running', 'waiting', 'expanded') AND (?4 IS NULL OR status = ?4)
                   ORDER BY rowid LIMIT ?5";
        let after = usize::try_from(after).map(|index| parent.child(index));
        let after = after.as_ref().map_or("", |id| id.as_str());
        let status = self.status.map(StepStatus::as_str);
        self.collect(OTHERS, sql, params![self.run, parent.as_str(), after, status, most as i64])
    }

    fn with_text(&self, text: &str, after: Option<StepPlace>) -> Result<Vec<Found>, StoreError> {
        const GROUP: &str = "CASE status WHEN 'failed' THEN 0 WHEN 'running' THEN 1 WHEN 'waiting' THEN 1
                             WHEN 'expanded' THEN 2 ELSE 3 END";
        let sql = format!(
            "SELECT rowid, {GROUP}, position, coalesce(item_index, -1) FROM step
             WHERE run = ?1 AND (?2 IS NULL OR status = ?2) AND (instr(lower(id), ?3) OR instr(lower(item), ?3))
                   AND ({GROUP}, position, coalesce(item_index, -1)) > (?4, ?5, ?6)
             ORDER BY 2, 3, 4 LIMIT ?7"
        );
        let after = after.unwrap_or(StepPlace { group: -1, position: -1, item: -1 });
        let status = self.status.map(StepStatus::as_str);
        let most = self.most as i64;
        let values = params![self.run, status, text, after.group, after.position, after.item, most];
        let rows: Vec<(i64, i64, i64, i64)> = collect(self.connection, &sql, values)?;
        Ok(rows.into_iter().map(|(row, group, position, item)| (row, StepPlace { group, position, item })).collect())
    }

    fn collect(&self, group: i64, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Found>, StoreError> {
        let rows: Vec<(i64, i64, i64)> = collect(self.connection, sql, values)?;
        Ok(rows.into_iter().map(|(row, position, item)| (row, StepPlace { group, position, item })).collect())
    }

    /// The rows in the order of their places.
    fn rows(&self, mut found: Vec<Found>) -> Result<Vec<StepRow>, StoreError> {
        found.sort_by_key(|(row, _)| *row);
        let numbers: Vec<i64> = found.iter().map(|(row, _)| *row).collect();
        let sql = steps_where("rowid IN (SELECT value FROM json_each(?1)) ORDER BY rowid");
        let rows: Vec<StepRow> = collect(self.connection, &sql, [Json(&numbers)])?;
        let mut rows: Vec<(StepPlace, StepRow)> = found.into_iter().map(|(_, place)| place).zip(rows).collect();
        rows.sort_by_key(|(place, _)| *place);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

fn group_of(status: StepStatus) -> i64 {
    match status {
        StepStatus::Failed => FAILED,
        StepStatus::Running | StepStatus::Waiting => AT_WORK,
        StepStatus::Expanded => EXPANDED,
        StepStatus::Pending
        | StepStatus::Ready
        | StepStatus::Succeeded
        | StepStatus::Skipped
        | StepStatus::Canceled => OTHERS,
    }
}

//! Chooses the runs of a clean-up.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::retention::{Ended, KeepBest, Retention};
use stepwell_store::{Reader, StoreError};

use super::error::MaintenanceError;

/// A clean-up that a person asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CleanUp {
    /// Remove these ended runs and the child runs of their steps, and everything that only they need.
    Remove { runs: Vec<RunId> },
    /// Remove the runs that no rule keeps, and everything that nothing needs.
    Collect { retention: Retention },
}

impl CleanUp {
    /// The runs to remove, in the order in which they are told.
    ///
    /// # Errors
    /// `NotEnded`, `Kept`, `InUse` or `Pruned` if a run of `Remove` must stay: then all stay.
    pub(crate) fn choose(&self, reader: &Reader) -> Result<Vec<RunId>, MaintenanceError> {
        match self {
            CleanUp::Remove { runs } => removable(reader, runs),
            CleanUp::Collect { retention } => expired(reader, retention),
        }
    }

    /// The chosen runs that can be removed now, and were not removed before.
    ///
    /// # Errors
    /// Those of [`CleanUp::choose`].
    pub(crate) fn still_removable(&self, reader: &Reader, chosen: &[RunId]) -> Result<Vec<RunId>, MaintenanceError> {
        let mut left = Vec::new();
        for run in chosen {
            if reader.run(*run)?.pruned_at.is_none() {
                left.push(*run);
            }
        }
        match self {
            CleanUp::Remove { .. } => check_each(reader, left.iter().copied())?,
            CleanUp::Collect { .. } => {
                let (in_use, kept) = (reader.runs_in_use()?, reader.kept_runs()?);
                let mut ended = Vec::new();
                for run in left {
                    if reader.run(run)?.stored_status.is_terminal() && !in_use.contains(&run) && !kept.contains(&run) {
                        ended.push(run);
                    }
                }
                left = ended;
            }
        }
        Ok(left)
    }
}

fn expired(reader: &Reader, retention: &Retention) -> Result<Vec<RunId>, MaintenanceError> {
    let in_use: BTreeSet<RunId> = reader.runs_in_use()?.into_iter().collect();
    let kept = reader.kept_runs()?;
    let mut rows = reader.runs()?.all()?;
    rows.retain(|row| row.stored_status.is_terminal() && row.pruned_at.is_none() && !kept.contains(&row.id));
    let ids: Vec<RunId> = rows.iter().map(|row| row.id).collect();
    let values = match &retention.keep_best {
        Some(rule) => values(reader, &ids, rule)?,
        None => HashMap::new(),
    };
    let ended = rows.into_iter().map(|row| Ended {
        run: row.id,
        at: row.finished_at.unwrap_or(row.updated_at),
        workflow: row.workflow,
        status: row.stored_status,
        value: values.get(&row.id).copied(),
    });
    let expired = retention.expired(&ended.collect::<Vec<_>>(), Timestamp::now());
    Ok(expired.into_iter().filter(|run| !in_use.contains(run)).collect())
}

/// The value of each run by which the rule compares them; for a fan-out, the best of its items.
///
/// # Errors
/// `NoSuchValue` if no run has one: the rule would keep nothing, which nobody means.
pub(super) fn values(
    reader: &Reader,
    runs: &[RunId],
    rule: &KeepBest,
) -> Result<HashMap<RunId, f64>, MaintenanceError> {
    let no_such_value = || MaintenanceError::NoSuchValue { by: rule.by.clone() };
    let (step, value) = rule.step_and_value().ok_or_else(no_such_value)?;
    let mut best: HashMap<RunId, f64> = HashMap::new();
    for (run, _, value) in reader.values_of(runs, &StepId::from(step), value)? {
        let Some(value) = value.as_f64() else { continue };
        best.entry(run).and_modify(|known| *known = rule.goal.better(*known, value)).or_insert(value);
    }
    if best.is_empty() && !runs.is_empty() { Err(no_such_value()) } else { Ok(best) }
}

fn removable(reader: &Reader, runs: &[RunId]) -> Result<Vec<RunId>, MaintenanceError> {
    let mut chosen = BTreeSet::new();
    for run in runs {
        if let Some(at) = reader.run(*run)?.pruned_at {
            return Err(StoreError::Pruned { run: *run, at }.into());
        }
        chosen.insert(*run);
        chosen.extend(reader.descendants(*run)?);
    }
    check_each(reader, chosen.iter().copied())?;
    let mut left = Vec::new();
    for run in chosen {
        if reader.run(run)?.pruned_at.is_none() {
            left.push(run);
        }
    }
    Ok(left)
}

fn check_each(reader: &Reader, runs: impl Iterator<Item = RunId>) -> Result<(), MaintenanceError> {
    let (in_use, kept) = (reader.runs_in_use()?, reader.kept_runs()?);
    for run in runs {
        let status = reader.run(run)?.status;
        if status.is_active() {
            return Err(MaintenanceError::NotEnded { run, status });
        }
        if kept.contains(&run) {
            return Err(StoreError::Kept { run }.into());
        }
        if in_use.contains(&run) {
            return Err(MaintenanceError::InUse { run });
        }
    }
    Ok(())
}

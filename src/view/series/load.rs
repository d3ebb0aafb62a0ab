//! Loads the series of a step from the database.

use std::ops::ControlFlow;

use super::lineage::{Family, Lineage, Part, Relation, lineage};
use super::table::Series;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, StoreError};

/// A loaded series, and where its rows came from.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    pub lineage: Lineage,
    pub series: Series,
}

/// Loads all rows of a step, with those of the runs that it was forked from.
///
/// # Errors
/// `UnknownRun`, `DamagedMetric`.
pub fn load(reader: &Reader, run: RunId, step: &StepId) -> Result<Source, StoreError> {
    let lineage = lineage(&Stored(reader), run, step.clone())?;
    let mut series = Series::default();
    for part in &lineage.parts {
        reader.each_measurement((part.run, &part.step), None, part.up_to, |row| {
            series.push(row);
            ControlFlow::Continue(())
        })?;
    }
    Ok(Source { lineage, series })
}

/// Where the rows of a step are, oldest first.
///
/// # Errors
/// `UnknownRun`.
pub fn parts(reader: &Reader, run: RunId, step: &StepId) -> Result<Vec<Part>, StoreError> {
    Ok(sources(reader, run, step)?.parts)
}

/// Like [`parts`], with what is gone.
///
/// # Errors
/// `UnknownRun`.
pub fn sources(reader: &Reader, run: RunId, step: &StepId) -> Result<Lineage, StoreError> {
    lineage(&Stored(reader), run, step.clone())
}

struct Stored<'r>(&'r Reader);

impl Family for Stored<'_> {
    type Error = StoreError;

    fn relation(&self, run: RunId, step: &StepId) -> Result<Relation, StoreError> {
        let Stored(reader) = self;
        let row = reader.run(run)?;
        if let Some(at) = row.pruned_at {
            return Ok(Relation::Pruned(at));
        }
        if let Some(Origin::Fork { run: parent, at, train_step: Some(train_step) }) = row.options.origin
            && at == *step
        {
            return Ok(Relation::Forked(parent, train_step));
        }
        let Some(found) = reader.find_step(run, step)? else { return Ok(Relation::Own) };
        let Some((source, key)) = found.reused_from.zip(found.key) else { return Ok(Relation::Own) };
        if let Some(at) = reader.run(source)?.pruned_at {
            return Ok(Relation::Pruned(at));
        }
        let there = reader.step_with_key(source, &key)?;
        Ok(there.map_or(Relation::Own, |there| Relation::Reused(source, there)))
    }
}

//! Tags, notes and pins of runs.

use std::collections::{BTreeSet, HashMap};

use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;

use super::reader::Reader;
use crate::decode::{Json, collect, first};
use crate::error::StoreError;
use crate::rows::{Annotation, AnnotationOf};

impl Reader {
    /// The annotation of a run; empty if nobody has made one.
    pub fn annotation(&self, run: RunId) -> Result<Annotation, StoreError> {
        let sql = "SELECT * FROM annotation WHERE run = ?1";
        let found: Option<AnnotationOf> = self.query(|connection| first(connection, sql, [run.to_string()]))?;
        Ok(found.map(|found| found.annotation).unwrap_or_default())
    }

    /// The annotations of the given runs, without the empty ones.
    pub fn annotations(&self, runs: &[RunId]) -> Result<HashMap<RunId, Annotation>, StoreError> {
        let sql = "SELECT * FROM annotation WHERE run IN (SELECT value FROM json_each(?1))";
        let found: Vec<AnnotationOf> = self.query(|connection| collect(connection, sql, [Json(runs)]))?;
        Ok(found.into_iter().map(|AnnotationOf { run, annotation }| (run, annotation)).collect())
    }

    /// Every run that has a tag.
    pub fn runs_tagged(&self, tag: &Tag) -> Result<BTreeSet<RunId>, StoreError> {
        let sql = "SELECT run FROM annotation WHERE EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?1)";
        Ok(self.query(|connection| collect(connection, sql, [tag.as_str()]))?.into_iter().collect())
    }

    /// Every run that a person keeps, and the runs that its steps started.
    pub fn kept_runs(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let sql = "WITH RECURSIVE kept(id) AS (
                       SELECT run FROM annotation WHERE kept_at IS NOT NULL
                       UNION SELECT run.id FROM kept JOIN run ON run.parent_run = kept.id)
                   SELECT id FROM kept";
        Ok(self.query(|connection| collect(connection, sql, []))?.into_iter().collect())
    }
}

//! Stores what people say about runs. Any process may write it, also while an engine runs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use stepwell_base::ids::RunId;
use stepwell_base::remark::{MOST_TAGS, Tag};

use super::store::Store;
use super::submit;
use crate::batch::{Adoption, NewRun, Submitted};
use crate::decode::{Json, first, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::{Annotation, AnnotationOf, Remark};

impl Store {
    /// Changes the annotation of a run and returns the new one.
    ///
    /// # Errors
    /// `UnknownRun`, `TooManyTags`; `Pruned` for [`Remark::Keep`]; and those of [`Store::commit`].
    pub fn remark(&mut self, run: RunId, remark: &Remark, at: Timestamp) -> Result<Annotation, StoreError> {
        self.reader().run(run)?;
        self.write(1, |transaction, _| {
            let mut annotation = stored(transaction, run)?;
            match remark {
                Remark::Tags { add, remove } => {
                    annotation.tags.retain(|tag| !remove.contains(tag));
                    annotation.tags.extend(add.iter().cloned());
                }
                Remark::Note(note) => annotation.note = Some(note.clone()),
                Remark::NoNote => annotation.note = None,
                Remark::Keep => {
                    refuse_pruned(transaction, run)?;
                    annotation.kept_at.get_or_insert(at);
                }
                Remark::KeepNoLonger => annotation.kept_at = None,
            }
            write(transaction, run, &annotation)?;
            Ok(annotation)
        })
    }

    /// Like [`Store::submit`] and [`Store::submit_fork`], for a run with tags. A run that was submitted before keeps its
    /// own.
    ///
    /// # Errors
    /// `TooManyTags`, and those of [`Store::submit_fork`].
    pub fn submit_tagged(
        &mut self,
        run: NewRun,
        adoption: Option<&Adoption>,
        tags: BTreeSet<Tag>,
    ) -> Result<Submitted, StoreError> {
        self.write(run.spec.steps.len() + 2, |transaction, head| {
            let submitted = match adoption {
                Some(adoption) => submit::submit_fork(transaction, head, &run, adoption)?,
                None => submit::submit(transaction, head, &run)?,
            };
            if submitted == Submitted::New && !tags.is_empty() {
                write(transaction, run.id, &Annotation { tags, ..Annotation::default() })?;
            }
            Ok(submitted)
        })
    }
}

fn stored(connection: &Connection, run: RunId) -> Result<Annotation, StoreError> {
    let sql = "SELECT * FROM annotation WHERE run = ?1";
    let found: Option<AnnotationOf> = first(connection, sql, [run.to_string()])?;
    Ok(found.map(|found| found.annotation).unwrap_or_default())
}

fn write(connection: &Connection, run: RunId, annotation: &Annotation) -> Result<(), StoreError> {
    let Annotation { tags, note, kept_at } = annotation;
    if tags.len() > MOST_TAGS {
        return Err(StoreError::TooManyTags { run, found: tags.len() });
    }
    let id = run.to_string();
    let row = Rows { table: "annotation", column: "run", key: &id };
    if annotation.is_empty() {
        seal::change(connection, row, "DELETE FROM annotation WHERE run = ?1", [&id])?;
        return Ok(());
    }
    let sql = "INSERT INTO annotation (run, tags, note, kept_at) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (run) DO UPDATE SET tags = excluded.tags, note = excluded.note, kept_at = excluded.kept_at";
    let values = params![id, Json(tags), note.as_ref().map(|note| note.as_str()), kept_at.map(time_text)];
    seal::change(connection, row, sql, values)?;
    Ok(())
}

/// A clean-up may prune the run between the caller's look at it and this transaction.
fn refuse_pruned(connection: &Connection, run: RunId) -> Result<(), StoreError> {
    let sql = "SELECT pruned_at FROM run WHERE id = ?1";
    match first::<Option<Timestamp>>(connection, sql, [run.to_string()])?.flatten() {
        Some(at) => Err(StoreError::Pruned { run, at }),
        None => Ok(()),
    }
}

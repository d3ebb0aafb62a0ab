//! Tags, notes and pins that people give to runs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::ids::RunId;
use stepwell_base::remark::{Note, Tag};

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// Tags, the note and the pin of a run; empty for most runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Annotation {
    pub tags: BTreeSet<Tag>,
    pub note: Option<Note>,
    /// Since when no clean-up may remove the run.
    pub kept_at: Option<Timestamp>,
}

impl Annotation {
    pub fn is_empty(&self) -> bool {
        *self == Annotation::default()
    }
}

/// One change of an [`Annotation`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remark {
    Tags { add: BTreeSet<Tag>, remove: BTreeSet<Tag> },
    Note(Note),
    NoNote,
    Keep,
    KeepNoLonger,
}

columns! {
    pub(crate) struct AnnotationColumns { run, tags, note, kept_at }
}

pub(crate) struct AnnotationOf {
    pub(crate) run: RunId,
    pub(crate) annotation: Annotation,
}

impl FromRow for AnnotationOf {
    type Columns = AnnotationColumns;

    fn from_row(row: &Row<'_>, columns: &AnnotationColumns) -> Result<AnnotationOf, StoreError> {
        let note: Option<String> = columns.note.get(row)?;
        let note = note.map(|note| note.parse()).transpose().map_err(|error| columns.note.undecodable(error))?;
        let annotation = Annotation { tags: columns.tags.json(row)?, note, kept_at: columns.kept_at.get(row)? };
        Ok(AnnotationOf { run: columns.run.get(row)?, annotation })
    }
}

//! Keeps the folder of one series equal to the rows of the database.

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::changes::Key;
use super::place::{Place, heading};
use super::recent::Recent;
use super::texts::Texts;
use crate::error::CliError;
use crate::view::series::{Part, each_row, parts};
use stepwell_base::protocol::Measurement;
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, StoreError};
use stepwell_tensorboard::{Folder, Row, tag};

/// Time between two rewinds that late lines of a program cause, at first and at most. Each one makes a file.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

pub struct Series {
    key: Key,
    /// Where its rows are, oldest first.
    parts: Vec<Part>,
    folder: Folder,
    texts: Texts,
    /// The newest rows that were written.
    recent: Recent,
    /// The first step of rows that are out of date.
    stale_from: Option<u64>,
    /// When a rewind may happen again, and how long the next pause is.
    rewind: (Instant, Duration),
}

/// How urgent it is to have the last rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Haste {
    /// More comes soon.
    Later,
    /// This is the end for now.
    Now,
}

impl Series {
    /// Opens the folder of a series and compares it with the database.
    pub fn open(reader: &Reader, place: &Place, key: Key) -> Result<Series, CliError> {
        let (run, step) = &key;
        let row = reader.run(*run)?;
        let folder = Folder::open(&place.of_series(&row, step), heading(reader, &row)?).map_err(failed(place))?;
        let texts = Texts::open(&place.of_series(&row, step)).map_err(failed(place))?;
        let mut series = Series {
            parts: parts(reader, *run, step)?,
            key,
            folder,
            texts,
            recent: Recent::default(),
            stale_from: None,
            rewind: (Instant::now(), FIRST_PAUSE),
        };
        if let Some(from) = series.first_difference(reader).map_err(failed(place))? {
            series.folder.rewind(from).map_err(failed(place))?;
        }
        Ok(series)
    }

    /// False if somebody has removed or changed the files.
    pub fn is_intact(&self) -> bool {
        self.folder.is_intact() && self.texts.is_intact()
    }

    /// When rows that are out of date may be replaced; `None` while all are up to date.
    pub fn due(&self) -> Option<Instant> {
        self.stale_from.map(|_| self.rewind.0)
    }

    /// Brings the folder up to date. `from` is the first training step that changed.
    pub fn update(&mut self, reader: &Reader, place: &Place, from: Option<u64>, haste: Haste) -> Result<(), CliError> {
        self.note_changes(reader, from)?;
        if let Some(from) = self.stale_from
            && (haste == Haste::Now || self.rewind.0 <= Instant::now())
        {
            self.folder.rewind(from).map_err(failed(place))?;
            self.recent.rewind(from);
            self.stale_from = None;
            let (_, pause) = self.rewind;
            self.rewind = (Instant::now() + pause, (2 * pause).min(LONGEST_PAUSE));
        }
        let up_to = self.last_settled(reader, haste)?;
        let written = self.append(reader, up_to);
        self.folder.close();
        written.map_err(failed(place))?;
        self.texts.update(reader, &self.parts, from).map_err(failed(place))
    }

    fn note_changes(&mut self, reader: &Reader, from: Option<u64>) -> Result<(), CliError> {
        let Some(last) = self.folder.last_step() else { return Ok(()) };
        let mut stale = from.filter(|from| *from <= last);
        if let Some(from) = stale.filter(|from| self.recent.covers(*from)) {
            // The rows may have been read before the word of them came.
            stale = self.changed_since(reader, from, last)?;
        }
        // Rows that were removed without others in their place.
        let newest = self.newest(reader)?;
        if newest.is_none_or(|newest| newest < last) {
            let next = newest.map_or(0, |newest| newest + 1);
            stale = Some(stale.map_or(next, |from| from.min(next)));
        }
        self.stale_from = self.stale_from.into_iter().chain(stale).min();
        Ok(())
    }

    /// The first of the recent rows that the database has otherwise.
    fn changed_since(&self, reader: &Reader, from: u64, last: u64) -> Result<Option<u64>, StoreError> {
        let mut left = self.recent.since(from);
        let mut next = left.next();
        each_row(reader, &self.parts, from.checked_sub(1), last, |row| {
            let row = row_of(row);
            if next != Some(Recent::note(&row)) {
                next = next.map(|(written, note)| (written.min(row.train_step), note));
                return Ok::<_, StoreError>(ControlFlow::Break(()));
            }
            next = left.next();
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next.map(|(train_step, _)| train_step))
    }

    /// The last training step of all parts.
    fn newest(&self, reader: &Reader) -> Result<Option<u64>, CliError> {
        let mut newest = None;
        for part in &self.parts {
            let last = reader.measured_up_to(part.run, &part.step)?;
            newest = newest.max(last.map(|last| part.up_to.map_or(last, |up_to| up_to.min(last))));
        }
        Ok(newest)
    }

    /// The last training step whose row does not change any more, as far as one can tell.
    fn last_settled(&self, reader: &Reader, haste: Haste) -> Result<u64, CliError> {
        if haste == Haste::Now {
            return Ok(u64::MAX);
        }
        let (run, step) = &self.key;
        let is_running = reader.find_step(*run, step)?.is_some_and(|step| step.status == StepStatus::Running);
        // A step often gets its numbers one after the other, such as its loss and then the loss of a validation.
        let newest = self.newest(reader)?.filter(|_| is_running);
        Ok(newest.map_or(u64::MAX, |newest| newest.saturating_sub(1)))
    }

    fn append(&mut self, reader: &Reader, up_to: u64) -> Result<(), Broken> {
        let after = self.folder.last_step();
        let (folder, recent) = (&mut self.folder, &mut self.recent);
        each_row(reader, &self.parts, after, up_to, |row| {
            let row = row_of(row);
            folder.append(now(), &row)?;
            recent.push(&row);
            Ok::<_, Broken>(ControlFlow::Continue(()))
        })?;
        Ok(self.folder.sync()?)
    }

    /// The first training step at which the files differ from the database; `None` if the files are the start of it.
    fn first_difference(&self, reader: &Reader) -> Result<Option<u64>, Broken> {
        let mut rows = self.folder.rows();
        let mut next = rows.next().transpose()?;
        let mut found = None;
        each_row(reader, &self.parts, None, u64::MAX, |row| {
            let Some(written) = next.take() else { return Ok(ControlFlow::Break(())) };
            let row = row_of(row);
            if is_same(&written, &row) {
                next = rows.next().transpose()?;
                return Ok::<_, Broken>(ControlFlow::Continue(()));
            }
            found = Some(written.train_step.min(row.train_step));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found.or(next.map(|left| left.train_step)))
    }
}

/// A database or a disk that fails.
pub(super) enum Broken {
    Store(StoreError),
    Disk(io::Error),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Broken {
        Broken::Store(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Disk(error)
    }
}

fn failed<E: Into<Broken>>(place: &Place) -> impl Fn(E) -> CliError {
    move |error| match error.into() {
        Broken::Store(error) => error.into(),
        Broken::Disk(error) => CliError::io("write", place.root(), error),
    }
}

fn row_of(row: Measurement) -> Row {
    let values = row.values.into_iter().map(|(name, value)| (tag(&name), value as f32)).collect();
    Row { train_step: row.train_step, values, texts: Vec::new() }
}

/// NaN equals NaN here.
pub(super) fn is_same(a: &Row, b: &Row) -> bool {
    let same = |(a, b): (&(String, f32), &(String, f32))| a.0 == b.0 && (a.1 == b.1 || a.1.is_nan() && b.1.is_nan());
    a.train_step == b.train_step
        && a.values.len() == b.values.len()
        && a.values.iter().zip(&b.values).all(same)
        && a.texts == b.texts
}

pub(super) fn now() -> f64 {
    Timestamp::now().as_millisecond() as f64 / 1000.0
}

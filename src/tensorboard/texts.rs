//! The texts that a model writes during its training, in a folder below that of its numbers.

use std::io;
use std::path::Path;

use super::series::{Broken, is_same, now};
use crate::view::series::Part;
use stepwell_store::{Reader, StoreError};
use stepwell_tensorboard::{Folder, Heading, Row, Text, preformatted};

const FOLDER: &str = "samples";

pub(super) struct Texts {
    folder: Folder,
    /// The files may differ from the database.
    is_unchecked: bool,
}

impl Texts {
    /// Opens the folder below that of a series. It is made with the first text.
    pub(super) fn open(series: &Path) -> io::Result<Texts> {
        Ok(Texts { folder: Folder::open(&series.join(FOLDER), Heading::default())?, is_unchecked: true })
    }

    pub(super) fn is_intact(&self) -> bool {
        self.folder.is_intact()
    }

    /// Brings the folder up to date. `from` is the first training step that may have changed.
    pub(super) fn update(&mut self, reader: &Reader, parts: &[Part], from: Option<u64>) -> Result<(), Broken> {
        let (newest, last) = (newest(reader, parts)?, self.folder.last_step());
        let is_stale = self.is_unchecked || newest < last || from.is_some_and(|from| Some(from) <= last);
        if newest == last && !is_stale {
            return Ok(());
        }
        let steps = steps(reader, parts)?;
        if is_stale && let Some(from) = self.first_difference(reader, &steps)? {
            self.folder.rewind(from)?;
        }
        self.is_unchecked = false;
        let last = self.folder.last_step();
        for (part, train_step) in steps.iter().filter(|(_, train_step)| last.is_none_or(|last| *train_step > last)) {
            self.folder.append(now(), &row(reader, part, *train_step)?)?;
        }
        self.folder.close();
        Ok(())
    }

    fn first_difference(&self, reader: &Reader, steps: &[(&Part, u64)]) -> Result<Option<u64>, Broken> {
        let mut stored = steps.iter();
        for written in self.folder.rows() {
            let written = written?;
            let Some((part, train_step)) = stored.next() else { return Ok(Some(written.train_step)) };
            if !is_same(&written, &row(reader, part, *train_step)?) {
                return Ok(Some(written.train_step.min(*train_step)));
            }
        }
        Ok(None)
    }
}

/// The last training step with texts.
fn newest(reader: &Reader, parts: &[Part]) -> Result<Option<u64>, StoreError> {
    let mut newest = None;
    for part in parts {
        newest = newest.max(reader.newest_sample_step(part.run, &part.step, part.up_to)?);
    }
    Ok(newest)
}

/// All training steps with texts, in order.
fn steps<'p>(reader: &Reader, parts: &'p [Part]) -> Result<Vec<(&'p Part, u64)>, StoreError> {
    let mut all: Vec<(&Part, u64)> = Vec::new();
    for part in parts {
        for train_step in reader.sample_steps(part.run, &part.step)? {
            if part.up_to.is_none_or(|up_to| train_step <= up_to) {
                // What a later part reports again replaces what is there.
                let kept = all.partition_point(|(_, known)| *known < train_step);
                all.truncate(kept);
                all.push((part, train_step));
            }
        }
    }
    Ok(all)
}

fn row(reader: &Reader, part: &Part, train_step: u64) -> Result<Row, StoreError> {
    let samples = reader.samples_at(part.run, &part.step, train_step)?.into_iter();
    let texts = samples.map(|sample| Text {
        tag: format!("samples/{}", sample.number + 1),
        markdown: preformatted(&format!("{}{}", sample.prompt, sample.text)),
    });
    Ok(Row { train_step, values: Vec::new(), texts: texts.collect() })
}

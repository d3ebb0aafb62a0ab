//! One event file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::Path;

use crate::event::{Row, read_row};
use crate::record::{frame, framed_len, next};

/// What is known about a file.
pub(crate) struct EventFile {
    pub(crate) name: String,
    /// Bytes of its records.
    pub(crate) len: u64,
    /// The training step of its last row.
    pub(crate) last: Option<u64>,
}

/// The end of the records of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Clean,
    /// Something follows that is no record of ours; it was cut off.
    Torn,
}

impl EventFile {
    /// Reads a whole file, and cuts off what is torn, damaged or out of order.
    pub(crate) fn open(folder: &Path, name: String) -> io::Result<(EventFile, End)> {
        let path = folder.join(&name);
        let mut found = EventFile { name, len: 0, last: None };
        let mut reader = BufReader::new(File::open(&path)?);
        while let Some(record) = next(&mut reader)? {
            if let Some(row) = read_row(&record) {
                if found.last.is_some_and(|last| row.train_step <= last) {
                    break;
                }
                found.last = Some(row.train_step);
            }
            found.len += framed_len(&record);
        }
        if reader.get_ref().metadata()?.len() == found.len {
            return Ok((found, End::Clean));
        }
        found.cut(folder, found.len)?;
        Ok((found, End::Torn))
    }

    /// Creates a file, which must not exist.
    pub(crate) fn create(folder: &Path, name: String) -> io::Result<(EventFile, File)> {
        let file = OpenOptions::new().append(true).create_new(true).open(folder.join(&name))?;
        Ok((EventFile { name, len: 0, last: None }, file))
    }

    pub(crate) fn append_to(&self, folder: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).open(folder.join(&self.name))
    }

    /// Appends a record with one write, so that readers rarely see half of one.
    pub(crate) fn append(&mut self, file: &mut File, record: &[u8]) -> io::Result<()> {
        file.write_all(&frame(record))?;
        self.len += framed_len(record);
        Ok(())
    }

    /// Cuts off all rows from a training step on. False if no row is left.
    pub(crate) fn rewind(&mut self, folder: &Path, from: u64) -> io::Result<bool> {
        let mut reader = BufReader::new(File::open(folder.join(&self.name))?);
        let (mut len, mut last) = (0, None);
        while let Some(record) = next(&mut reader)? {
            if let Some(Row { train_step, .. }) = read_row(&record) {
                if train_step >= from {
                    break;
                }
                last = Some(train_step);
            }
            len += framed_len(&record);
        }
        self.last = last;
        self.cut(folder, len)?;
        Ok(last.is_some())
    }

    fn cut(&mut self, folder: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(folder.join(&self.name))?;
        file.set_len(len)?;
        file.sync_all()?;
        self.len = len;
        Ok(())
    }
}

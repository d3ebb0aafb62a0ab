//! Reads rows back.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use crate::event::{Row, read_row};
use crate::record::next;

/// The rows of a folder, oldest first.
pub struct Rows {
    /// Files that are not open yet, the next one last.
    left: Vec<PathBuf>,
    open: Option<BufReader<File>>,
}

impl Rows {
    pub(crate) fn of(mut paths: Vec<PathBuf>) -> Rows {
        paths.reverse();
        Rows { left: paths, open: None }
    }

    fn read(&mut self) -> io::Result<Option<Row>> {
        loop {
            if let Some(file) = &mut self.open {
                while let Some(record) = next(file)? {
                    if let Some(row) = read_row(&record) {
                        return Ok(Some(row));
                    }
                }
            }
            let Some(path) = self.left.pop() else { return Ok(None) };
            self.open = Some(BufReader::new(File::open(path)?));
        }
    }
}

impl Iterator for Rows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        self.read().transpose()
    }
}

//! `metrics.jsonl` in the directory of the step: one row per training step, without gaps or duplicates even after
//! interruptions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::replace_file::replace_file;
use stepwell_base::protocol::MetricRow;

pub struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
    /// The last row, with its line break.
    last: Vec<u8>,
}

impl MetricsLog {
    /// Opens the log and drops the rows after `last_step`.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn rewound(path: &Path, last_step: u64) -> io::Result<Self> {
        let kept = kept_rows(path, last_step)?;
        let file = replace_file(path, &kept)?;
        let last = kept.split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default().to_vec();
        Ok(MetricsLog { path: path.to_owned(), file: BufWriter::new(file), last })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn append(&mut self, row: &MetricRow) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.last = line;
        self.file.flush()
    }

    /// Adds numbers to the row of `train_step`, which is the last one. Names that the row has keep their number: a
    /// resumed training measures the same again.
    pub fn amend(&mut self, train_step: u64, values: &BTreeMap<String, f64>) -> io::Result<()> {
        let row: Value = serde_json::from_slice(&self.last).unwrap_or_default();
        if row["train_step"] != train_step {
            return Ok(());
        }
        let mut added = String::new();
        for (name, value) in values.iter().filter(|(name, _)| row.get(name.as_str()).is_none()) {
            let value = serde_json::to_string(&value.is_finite().then_some(*value))?;
            added.push_str(&format!(",{}:{value}", serde_json::to_string(name)?));
        }
        const END: &[u8] = b"}\n";
        self.file.flush()?;
        // One write, so that a process that dies leaves the old end or the new one.
        self.file.get_mut().seek(SeekFrom::End(-(END.len() as i64)))?;
        added.push_str("}\n");
        self.file.get_mut().write_all(added.as_bytes())?;
        self.last.truncate(self.last.len() - END.len());
        self.last.extend_from_slice(added.as_bytes());
        Ok(())
    }

    /// Returns a second handle of the file. Its `sync_all` makes the rows of a checkpoint durable while more rows
    /// are appended.
    pub fn handle(&self) -> io::Result<File> {
        self.file.get_ref().try_clone()
    }
}

/// Complete rows of steps `1..=last_step`, without a torn last line and without unreadable lines.
fn kept_rows(path: &Path, last_step: u64) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut kept = Vec::new();
    let mut previous = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let step = serde_json::from_slice::<Value>(&line).ok().and_then(|row| row["train_step"].as_u64());
        if let Some(step) = step
            && step > previous
            && step <= last_step
        {
            previous = step;
            kept.extend_from_slice(&line);
            kept.push(b'\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(train_step: u64) -> MetricRow {
        MetricRow {
            train_step,
            loss: 2.5,
            z_loss: None,
            learning_rate: 1e-3,
            grad_norm: 1.0,
            tokens_so_far: train_step * 8,
            tokens_per_second: 1.0,
            ..MetricRow::default()
        }
    }

    fn steps(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str::<MetricRow>(line).unwrap().train_step).collect()
    }

    /// Resume bug "logger rewinds": the rows of repeated steps must replace the old ones.
    #[test]
    fn rewinding_leaves_no_gap_and_no_duplicate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let mut log = MetricsLog::rewound(&path, 0).unwrap();
        (1..=7).for_each(|step| log.append(&row(step)).unwrap());
        drop(log);
        // The process died in the middle of a line.
        let mut torn = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"train_step\":8,\"lo").unwrap();

        let mut log = MetricsLog::rewound(&path, 4).unwrap();
        (5..=9).for_each(|step| log.append(&row(step)).unwrap());
        log.handle().unwrap().sync_all().unwrap();
        assert_eq!(steps(&path), (1..=9).collect::<Vec<_>>());
        let amended = MetricsLog::rewound(&path, 9).and_then(|mut log| {
            let values = |value| BTreeMap::from([("val_loss".to_owned(), value)]);
            log.amend(9, &values(1.25))?;
            log.amend(9, &values(1.25))?;
            log.amend(8, &values(7.0))?;
            log.append(&row(10))?;
            log.amend(10, &values(f64::NAN))
        });
        amended.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let ends: Vec<&str> =
            text.lines().rev().take(3).map(|line| line.split_once("per_second\":").unwrap().1).collect();
        assert_eq!(ends, ["1.0,\"val_loss\":null}", "1.0,\"val_loss\":1.25}", "1.0}"]);
        assert_eq!(steps(&path), (1..=10).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }
}

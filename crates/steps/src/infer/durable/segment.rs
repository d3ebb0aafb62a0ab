//! Answers of a batch in an append-only file, each with its own checksum.
//!
//! Rows end in any order. A record that is whole counts, also after the last commit: a killed process repeats only the rows
//! that had no record. Records say whose answer they are by key, so that other batches can use them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use stepwell_base::faults::around;
use stepwell_batch::RowError;
use stepwell_batch::key::RowKey;
use stepwell_batch::results::Answer;

const MAGIC: &[u8; 8] = b"SWROWS1\n";
/// Marks the start of a record.
const RECORD: &[u8; 4] = b"row\n";
/// Mark, length, line, key, kind and checksum.
const HEAD: usize = 4 + 4 + 8 + 32 + 1 + 8;
/// Place of the checksum, which covers everything from the length on.
const SUM: usize = HEAD - 8;
/// Longest answer. A longer length is damage.
const LONGEST: u32 = 256 << 20;

/// What became of a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::infer) enum Outcome {
    Answered(Answer),
    Failed(RowError),
}

/// A record without its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::infer) struct Entry {
    /// Offset of the record.
    pub at: u64,
    /// Number of the line in the batch that wrote it.
    pub line: u64,
    pub key: RowKey,
    pub length: u32,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::infer) enum Kind {
    Answered,
    Failed,
}

impl Outcome {
    pub(in crate::infer) fn kind(&self) -> Kind {
        match self {
            Outcome::Answered(_) => Kind::Answered,
            Outcome::Failed(_) => Kind::Failed,
        }
    }
}

pub(in crate::infer) struct Segment {
    file: File,
    bytes: u64,
}

impl Segment {
    /// Opens a segment to append, and drops a torn record at its end. `known` gets every whole record.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(in crate::infer) fn open(path: &Path, mut known: impl FnMut(Entry)) -> io::Result<Segment> {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut bytes = entries(&file, &mut known)?;
        if bytes == 0 {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            around!("batch.segment.create", file.write_all(MAGIC))?;
            bytes = MAGIC.len() as u64;
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Segment { file, bytes })
    }

    /// Appends a record and returns it. It is durable after [`Segment::sync`].
    pub(in crate::infer) fn append(&mut self, line: u64, key: RowKey, outcome: &Outcome) -> io::Result<Entry> {
        let payload = serde_json::to_vec(outcome)?;
        let length = u32::try_from(payload.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer is too long"))?;
        let mut record = Vec::with_capacity(HEAD + payload.len());
        record.extend_from_slice(RECORD);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&line.to_le_bytes());
        record.extend_from_slice(&key.0);
        let kind = outcome.kind();
        record.push(u8::from(kind == Kind::Failed));
        record.extend_from_slice(&checksum(&record[4..], &payload));
        record.extend_from_slice(&payload);
        around!("batch.segment.append", self.file.write_all(&record))?;
        let entry = Entry { at: self.bytes, line, key, length, kind };
        self.bytes += record.len() as u64;
        Ok(entry)
    }

    /// Makes every record durable.
    pub(in crate::infer) fn sync(&self) -> io::Result<()> {
        around!("batch.segment.sync", self.file.sync_data())
    }

    pub(in crate::infer) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the outcome of a record.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub(in crate::infer) fn read(&self, entry: &Entry) -> io::Result<Outcome> {
        outcome(&self.file, entry)
    }
}

/// Reads the outcome of a record of any segment.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub(in crate::infer) fn outcome(file: &File, entry: &Entry) -> io::Result<Outcome> {
    let mut record = vec![0; HEAD + entry.length as usize];
    file.read_exact_at(&mut record, entry.at)?;
    let (head, payload) = record.split_at(HEAD);
    let sound = head[16..48] == entry.key.0 && head[SUM..] == checksum(&head[4..SUM], payload);
    match serde_json::from_slice(payload) {
        Ok(outcome) if sound => Ok(outcome),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the answer of line {} is damaged", entry.line))),
    }
}

/// Reads the records of a segment up to the first that is not whole, and returns where they end; 0 for a file that is none.
pub(in crate::infer) fn entries(file: &File, mut known: impl FnMut(Entry)) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let mut input = BufReader::with_capacity(1 << 18, file);
    input.seek(SeekFrom::Start(0))?;
    let mut magic = [0; MAGIC.len()];
    if end < MAGIC.len() as u64 {
        return Ok(0);
    }
    input.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Ok(0);
    }
    let mut at = MAGIC.len() as u64;
    let mut payload = Vec::new();
    while end - at >= HEAD as u64 {
        let mut head = [0; HEAD];
        input.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let next = at + (HEAD as u64) + u64::from(length);
        if &head[..4] != RECORD || length > LONGEST || next > end {
            break;
        }
        payload.resize(length as usize, 0);
        input.read_exact(&mut payload)?;
        if head[SUM..] != checksum(&head[4..SUM], &payload) {
            break;
        }
        let (mut line, mut key) = ([0; 8], [0; 32]);
        line.copy_from_slice(&head[8..16]);
        key.copy_from_slice(&head[16..48]);
        let kind = if head[48] == 0 { Kind::Answered } else { Kind::Failed };
        known(Entry { at, line: u64::from_le_bytes(line), key: RowKey(key), length, kind });
        at = next;
    }
    Ok(at)
}

fn checksum(head: &[u8], payload: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(payload);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> Outcome {
        Outcome::Failed(RowError::new(stepwell_batch::Code::InternalError, text))
    }

    #[test]
    fn a_segment_cut_anywhere_keeps_its_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.segment");
        let mut segment = Segment::open(&path, |_| panic!("a new segment is empty")).unwrap();
        let written: Vec<Entry> = (0..3_u64)
            .map(|line| segment.append(line, RowKey([line as u8; 32]), &failed(&"x".repeat(line as usize))).unwrap())
            .collect();
        segment.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut found = Vec::new();
            let mut segment = Segment::open(&path, |entry| found.push(entry)).unwrap();
            let expected = written.iter().filter(|entry| entry.at as usize + HEAD + entry.length as usize <= cut);
            assert_eq!(found, expected.copied().collect::<Vec<_>>(), "{cut}");
            let next = segment.append(9, RowKey([9; 32]), &failed("next")).unwrap();
            assert_eq!(segment.read(&next).unwrap(), failed("next"));
            let mut count = 0;
            Segment::open(&path, |_| count += 1).unwrap();
            assert_eq!(count, found.len() + 1);
        }
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.segment");
        let mut segment = Segment::open(&path, |_| ()).unwrap();
        let entry = segment.append(1, RowKey([7; 32]), &failed("a")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for byte in MAGIC.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            let file = File::open(&path).unwrap();
            let mut count = 0;
            entries(&file, |_| count += 1).unwrap();
            assert!(count == 0, "{byte}");
            assert!(outcome(&file, &entry).is_err() || byte < MAGIC.len() + 16, "{byte}");
        }
    }
}

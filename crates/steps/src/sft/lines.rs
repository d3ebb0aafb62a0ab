//! Lines of a file of examples.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use stepwell_base::failure::Failure;

/// Longest line, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Lines of a file with their numbers, from 1; empty lines are left out.
pub struct Lines {
    input: BufReader<File>,
    path: PathBuf,
    number: u64,
    /// Bytes read so far.
    pub read: u64,
    /// Bytes of the file.
    pub bytes: u64,
    hasher: blake3::Hasher,
}

impl Lines {
    /// Digest of everything read so far.
    pub fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> Result<Lines, Failure> {
        let failed = |error| Failure::io(format!("cannot read `{}`", path.display()), &error);
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let (input, hasher) = (BufReader::with_capacity(1 << 18, file), blake3::Hasher::new());
        Ok(Lines { input, path: path.to_owned(), number: 0, read: 0, bytes, hasher })
    }

    /// Up to `most` lines; none at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is too long.
    pub fn next(&mut self, most: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let mut lines = Vec::new();
        while lines.len() < most {
            let mut line = Vec::new();
            let read = (&mut self.input).take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
            let read = read.map_err(|error| Failure::io(format!("cannot read `{}`", self.path.display()), &error))?;
            if read == 0 {
                break;
            }
            self.hasher.update(&line);
            self.number += 1;
            self.read += read as u64;
            if read as u64 > LONGEST_LINE {
                let number = self.number;
                return Err(Failure::fatal(format!(
                    "line {number} of `{}` is longer than 16 MiB",
                    self.path.display()
                ))
                .with_hint("put each example on a line of its own"));
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                lines.push((self.number, line));
            }
        }
        Ok(lines)
    }
}

//! A log file that is renamed when it is full. Only the newest few files stay.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub struct RotatedFile {
    path: PathBuf,
    /// Bytes after which a file is full.
    limit: u64,
    /// Full files that stay: `NAME.1` is the newest.
    keep: usize,
    file: File,
    length: u64,
}

impl RotatedFile {
    /// Appends to the file at `path`, which may exist.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(path: &Path, limit: u64, keep: usize) -> io::Result<RotatedFile> {
        let file = append(path)?;
        let length = file.metadata()?.len();
        Ok(RotatedFile { path: path.to_owned(), limit, keep, file, length })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..=self.keep).rev() {
            let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
            match fs::rename(from, self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = append(&self.path)?;
        self.length = 0;
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for RotatedFile {
    /// Writes one record. A record never spans two files. If the full file cannot be renamed, it grows further.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.length > 0 && self.length.saturating_add(record.len() as u64) > self.limit {
            let _ = self.rotate();
        }
        self.file.write_all(record)?;
        self.length += record.len() as u64;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn full_files_are_renamed_and_only_the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.log");
        for record in ["one\n", "two\n", "three\n", "four\n", "five\n", "a record longer than the limit\n", "six\n"] {
            // As if another engine had started: the length of the file counts.
            RotatedFile::open(&path, 10, 2).unwrap().write_all(record.as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "six\n");
        assert_eq!(read(&folder.path().join("engine.log.1")), "a record longer than the limit\n");
        assert_eq!(read(&folder.path().join("engine.log.2")), "four\nfive\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_renamed_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.log");
        fs::create_dir_all(folder.path().join("engine.log.1/occupied")).unwrap();
        let mut file = RotatedFile::open(&path, 8, 1).unwrap();
        for record in ["first\n", "second\n"] {
            file.write_all(record.as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "first\nsecond\n");
    }
}

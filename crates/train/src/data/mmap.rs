//! Read-only memory maps of artifact files.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// A read-only file map: it may be as large as the disk, and only the pages in use take memory.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps an immutable file. Only artifacts may be opened with this: they are published complete, by rename, and
    /// never written again.
    ///
    /// # Errors
    /// The IO error from opening or mapping the file.
    #[expect(unsafe_code, reason = "a memory map is sound only for files that nobody changes")]
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        let file = File::open(path)?;
        // SAFETY: a map is sound while nobody changes or truncates the file. Artifacts are immutable: the store writes
        // them under a temporary name, makes them read-only and only ever unlinks them, which leaves existing maps
        // intact.
        let map = unsafe { Mmap::map(&file)? };
        Ok(MappedFile(map))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_the_bytes_of_a_file_and_survives_its_removal() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tokens");
        std::fs::write(&path, [1, 2, 3]).expect("written");
        let mapped = MappedFile::open(&path).expect("mapped");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(mapped.bytes(), [1, 2, 3]);
    }

    #[test]
    fn an_empty_file_has_no_bytes_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("empty");
        std::fs::write(&path, []).expect("written");
        assert_eq!(MappedFile::open(&path).expect("mapped").bytes(), [0u8; 0]);
        let error = MappedFile::open(&dir.path().join("absent")).expect_err("absent");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

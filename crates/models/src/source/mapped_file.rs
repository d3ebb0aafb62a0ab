//! Read-only memory maps of weight files.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// A read-only file map: the kernel loads pages on first use and may drop them again.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a file that nobody changes while the map lives: an artifact, or a model folder that its owner leaves alone.
    ///
    /// # Errors
    /// The IO error from opening or mapping the file.
    #[expect(unsafe_code, reason = "a memory map is sound only for files that nobody changes")]
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // SAFETY: a map is sound while nobody changes or truncates the file. Artifacts are written under a temporary
        // name, read-only from then on, and only ever unlinked. For a folder of a person, `Model::open` requires it.
        let map = unsafe { Mmap::map(&file)? };
        Ok(MappedFile(map))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the memory of all pages back to the system. Later reads load them again.
    #[cfg_attr(unix, expect(unsafe_code, reason = "advice that drops pages is unsafe for maps that were written"))]
    pub fn release_pages(&self) {
        // SAFETY: the map is read-only and its file does not change, so a page that is loaded again is the same. If the
        // system refuses, the pages stay, and nothing is lost.
        #[cfg(unix)]
        let _ = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }
}

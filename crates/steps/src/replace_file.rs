//! Atomic replacement of a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file's content durably and returns the new file. A crash leaves the old content or the new.
///
/// # Errors
/// When the file cannot be written; if only the last sync fails, the content is already new.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<File> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(parent)?;
    temp.write_all(content)?;
    temp.as_file().sync_all()?;
    let file = temp.persist(path).map_err(|error| error.error)?;
    File::open(parent)?.sync_all()?;
    Ok(file)
}

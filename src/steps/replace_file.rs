//! A file that is replaced as a whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes `content` all that the file has, durably. A crash leaves the old file or the new one.
///
/// # Errors
/// When it cannot be written; the old file is left then.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<File> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(parent)?;
    temp.write_all(content)?;
    temp.as_file().sync_all()?;
    let file = temp.persist(path).map_err(|error| error.error)?;
    File::open(parent)?.sync_all()?;
    Ok(file)
}

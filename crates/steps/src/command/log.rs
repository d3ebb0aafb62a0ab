//! Log of an attempt: everything that its processes print.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use stepwell_base::excerpt::excerpt;

/// Bytes read from the end of a log, enough for its last lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Returns the last `count` lines of a log, formatted by [`excerpt`]; empty if the log does not exist.
pub fn last_lines(path: &Path, count: usize) -> String {
    let tail = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    excerpt(&String::from_utf8_lossy(&tail().unwrap_or_default()), count)
}

//! File metadata that detects a change without reading the content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two equal stamps of a path mean equal content, unless the file changed again within one tick of its clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// True when the file was written, renamed or replaced within the last `span`, or in the future.
    pub fn is_within(&self, span: Duration) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let newest = u64::try_from(self.modified.0.max(self.changed.0)).unwrap_or_default();
        newest.saturating_add(span.as_secs()) >= now.as_secs()
    }
}

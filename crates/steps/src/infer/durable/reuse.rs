//! Answers of earlier batches by the key of their rows. Each batch keeps a link to its segment in `rows/` of the state
//! directory, in a folder for its model. Losing the folder costs time only.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::segment::{Entry, Kind, Outcome, entries, outcome};
use stepwell_base::faults::around;
use stepwell_batch::key::{Identity, RowKey};
use stepwell_batch::results::Answer;

/// Folder in the state directory.
const FOLDER: &str = "rows";
/// Most segments of a model, and bytes of all of them. The oldest are removed first. Under failpoints, a second batch removes the
/// segment of the first, so that the drill reaches the removal.
const MOST_SEGMENTS: usize = if cfg!(feature = "failpoints") { 1 } else { 256 };
const MOST_BYTES: u64 = 2 << 30;

pub(in crate::infer) struct Reuse {
    segments: Vec<File>,
    entries: HashMap<RowKey, (usize, Entry)>,
}

impl Reuse {
    /// No answers of other batches.
    pub(in crate::infer) fn nothing() -> Reuse {
        Reuse { segments: Vec::new(), entries: HashMap::new() }
    }

    /// Looks for answers to these rows in the segments of the same model, other than `own`.
    pub(in crate::infer) fn look(folder: &Path, own: &str, wanted: impl Fn(&RowKey) -> bool) -> Reuse {
        let mut found = Reuse::nothing();
        for (path, _, _) in segments(folder) {
            if path.file_name().is_some_and(|name| name == own) {
                continue;
            }
            let Ok(file) = File::open(&path) else { continue };
            let number = found.segments.len();
            let read = entries(&file, |entry| {
                if entry.kind == Kind::Answered && wanted(&entry.key) {
                    found.entries.insert(entry.key, (number, entry));
                }
            });
            if read.is_ok() {
                found.segments.push(file);
            }
        }
        found
    }

    /// True if there is an answer to an equal row.
    pub(in crate::infer) fn has(&self, key: &RowKey) -> bool {
        self.entries.contains_key(key)
    }

    /// The answer to an equal row; `None` also if it is damaged.
    pub(in crate::infer) fn find(&self, key: &RowKey) -> Option<Answer> {
        let (segment, entry) = self.entries.get(key)?;
        match outcome(self.segments.get(*segment)?, entry) {
            Ok(Outcome::Answered(answer)) => Some(answer),
            _ => None,
        }
    }
}

/// The folder for answers of a model.
pub(in crate::infer) fn folder(state_dir: &Path, identity: &Identity) -> PathBuf {
    let mut hasher = blake3::Hasher::new();
    for part in [&identity.model, &identity.template, &identity.engine] {
        hasher.update(part.as_bytes()).update(b"\n");
    }
    state_dir.join(FOLDER).join(&hasher.finalize().to_hex()[..32])
}

/// Links a segment into the folder, and removes the oldest ones if there are too many.
pub(in crate::infer) fn share(segment: &Path, folder: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let link = folder.join(name);
    let linked = around!("batch.reuse.link", fs::hard_link(segment, &link));
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace(segment, &link)?,
        other => other?,
    }
    let mut all = segments(folder);
    all.sort_by_key(|(_, _, changed)| std::cmp::Reverse(*changed));
    let mut bytes = 0;
    for (number, (path, size, _)) in all.into_iter().enumerate() {
        bytes += size;
        if (number >= MOST_SEGMENTS || bytes > MOST_BYTES) && path != link {
            around!("batch.reuse.remove", fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// Replaces a link to a segment that is no longer there.
fn replace(segment: &Path, link: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (fs::metadata(segment)?, fs::metadata(link)?);
    if (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        return Ok(());
    }
    fs::remove_file(link)?;
    fs::hard_link(segment, link)
}

fn segments(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            metadata
                .is_file()
                .then(|| (entry.path(), metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
        })
        .collect();
    // The order of a folder is that of its file system.
    found.sort();
    found
}

//! Walks a folder in the order of names and reports skipped entries.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::formats;
use super::pattern::Pattern;
use crate::corpus_import::findings::{Findings, Kind};

/// Maximum number of files and folders in one search. A link to `/` makes a small folder look endless.
const MOST_ENTRIES: usize = 1_000_000;

/// Identifies a file or folder regardless of its name.
type Identity = (u64, u64);

/// State of one search. Unreadable entries and second names of the same entry become findings.
pub struct Walk<'a> {
    pattern: Option<&'a Pattern>,
    /// True for entries reached through a link: only these can have second names.
    seen: HashMap<Identity, bool>,
    found: Vec<PathBuf>,
    findings: &'a mut Findings,
    /// The listed folder and those above it.
    above: Vec<Identity>,
    /// Number of entries that the search may still visit.
    left: usize,
}

/// Reason to give up the search of a folder.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("holds more than {0} files and folders, links followed")]
    TooMany(usize),
}

/// Position of the walk: levels below the root, and true if it followed a link.
#[derive(Clone, Copy)]
struct At {
    depth: usize,
    linked: bool,
}

impl<'a> Walk<'a> {
    /// Finds all regular files below `root`, or those that `pattern` names; skips hidden ones.
    ///
    /// # Errors
    /// `Io` when `root` itself cannot be listed; `TooMany` when the search visits too many entries.
    pub fn files(
        root: &Path,
        pattern: Option<&'a Pattern>,
        findings: &'a mut Findings,
    ) -> Result<Vec<PathBuf>, WalkError> {
        Walk::bounded(root, pattern, findings, MOST_ENTRIES)
    }

    /// Like [`Walk::files`], but visits fewer than `most` files and folders.
    pub fn bounded(
        root: &Path,
        pattern: Option<&'a Pattern>,
        findings: &'a mut Findings,
        most: usize,
    ) -> Result<Vec<PathBuf>, WalkError> {
        let root_id = identity(&root.metadata()?);
        let seen = HashMap::from([(root_id, false)]);
        let mut walk = Walk { pattern, seen, found: Vec::new(), findings, above: vec![root_id], left: most };
        walk.folder(root, At { depth: 0, linked: false })?;
        if walk.left == 0 { Err(WalkError::TooMany(most)) } else { Ok(walk.found) }
    }

    fn folder(&mut self, folder: &Path, at: At) -> io::Result<()> {
        // Sorts by the bytes of the names, which gives the order of the documents.
        let mut entries: BTreeMap<OsString, DirEntry> = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                entries.insert(entry.file_name(), entry);
            }
        }
        for (name, entry) in entries {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                break;
            }
            self.entry(&name, &entry, at);
        }
        Ok(())
    }

    fn entry(&mut self, name: &OsString, entry: &DirEntry, at: At) {
        let path = entry.path();
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return self.findings.add(Kind::PassedOver, || unusable(&path, &error)),
        };
        let enters = self.pattern.is_none_or(|pattern| pattern.enters(name, at.depth));
        let wanted = self.pattern.is_none_or(|pattern| pattern.matches(&path));
        let may_matter = if kind.is_dir() { enters } else { wanted || kind.is_symlink() && enters };
        if !may_matter {
            return;
        }
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if wanted => return self.findings.add(Kind::PassedOver, || unusable(&path, &error)),
            Err(_) => return,
        };
        let linked = at.linked || kind.is_symlink();
        if metadata.is_dir() {
            let id = identity(&metadata);
            let may_enter = match self.pattern {
                // The pattern may name only one of a folder's names, so only a loop ends the search here.
                Some(_) => enters && !self.above.contains(&id),
                None => self.is_new(&path, &metadata, linked),
            };
            if may_enter {
                self.above.push(id);
                let listed = self.folder(&path, At { depth: at.depth + 1, linked });
                self.above.pop();
                if let Err(error) = listed {
                    self.findings.add(Kind::PassedOver, || unusable(&path, &error));
                }
            }
        } else if wanted {
            self.file(path, &metadata, linked);
        }
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata, linked: bool) {
        // Files of other formats are only counted, unless a pattern names them.
        let read = self.pattern.is_some() || formats::of(&path).0.is_some();
        if !metadata.is_file() {
            self.findings.add(Kind::PassedOver, || format!("{} is no regular file", path.display()));
        } else if let (true, Err(error)) = (read, access(&path, Access::READ_OK)) {
            self.findings.add(Kind::PassedOver, || unusable(&path, &error.into()));
        } else if self.is_new(&path, metadata, linked) {
            self.found.push(path);
        }
    }

    fn is_new(&mut self, path: &Path, metadata: &Metadata, linked: bool) -> bool {
        match self.seen.get(&identity(metadata)) {
            // Hard links count as separate files.
            Some(earlier) if *earlier || linked => {
                let what = || format!("{} leads to what was read under another name", path.display());
                self.findings.add(Kind::PassedOver, what);
                false
            }
            _ => {
                self.seen.insert(identity(metadata), linked);
                true
            }
        }
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn unusable(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match (error.kind(), path.read_link()) {
        (io::ErrorKind::NotFound, Ok(target)) => format!("{shown} is a link to nothing, {}", target.display()),
        (_, Ok(target)) => format!("{shown}, a link to {}, cannot be read: {error}", target.display()),
        (_, Err(_)) => format!("{shown} cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.txt", "b.txt", "c.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let search = |most| Walk::bounded(dir.path(), None, &mut Findings::default(), most);
        assert_eq!(search(4).unwrap().len(), 3);
        assert!(matches!(search(3), Err(WalkError::TooMany(3))));
    }
}

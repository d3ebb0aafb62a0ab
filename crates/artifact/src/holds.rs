//! Published content that no row refers to yet.
//!
//! A worker publishes files before the engine commits the rows that refer to them, and content that is there already is
//! not written again. So a publisher first notes the digest in a file, and a clean-up leaves noted
//! content alone. The gate makes the note and the look at the content one action for a clean-up.
//!
//! Notes are for living processes only: a power cut ends their authors, too, so nothing of them is synced.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use stepwell_base::artifact::Digest;

use super::error::ArtifactError;

const GATE: &str = "gate";
/// Start of the names of notes that an attempt of a step writes. The engine removes them after the commit of its end.
const ATTEMPT: &str = "attempt-";
/// Time for which the notes of any other process count after the last one, such as those of a server that receives a file.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);
const DIGEST_DIGITS: usize = 64;

/// Author of notes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// An attempt, by a name that no other attempt has.
    Attempt(String),
    /// This handle of the store, for an hour.
    Process,
    /// No process removes content of this store while others publish, as in a backup.
    Nobody,
}

/// The folder `artifacts/holds`, and the notes of one holder.
pub(super) struct Holds {
    folder: PathBuf,
    path: Option<PathBuf>,
    notes: Mutex<Option<File>>,
}

/// Keeps clean-ups from removing content, or publishers from publishing, until it is dropped.
pub(super) struct Gate {
    #[expect(dead_code, reason = "closing the file opens the gate")]
    file: Option<File>,
}

/// Notes that a clean-up has read.
pub struct Held {
    digests: HashSet<Digest>,
    /// Bytes read of each file.
    read: HashMap<PathBuf, u64>,
}

impl Held {
    pub fn contains(&self, digest: &Digest) -> bool {
        self.digests.contains(digest)
    }
}

impl Holds {
    pub(super) fn new(artifacts: &Path, holder: &Holder) -> Holds {
        let folder = artifacts.join("holds");
        let path = match holder {
            Holder::Attempt(name) => Some(attempt_path(&folder, name)),
            Holder::Process => Some(folder.join(format!("process-{}", Uuid::now_v7()))),
            Holder::Nobody => None,
        };
        Holds { folder, path, notes: Mutex::default() }
    }

    /// Notes content before the caller relies on it. No clean-up removes content until the gate is dropped, and none
    /// removes this content afterwards.
    pub(super) fn note(&self, digest: &Digest) -> Result<Gate, ArtifactError> {
        let Some(path) = &self.path else { return Ok(Gate { file: None }) };
        let gate = self.gate(File::lock_shared)?;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // A clean-up has removed the notes of a handle that published nothing for long.
        notes.take_if(|file| file.metadata().is_ok_and(|found| found.nlink() == 0));
        let file = match &mut *notes {
            Some(file) => file,
            closed => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                closed.insert(opened.map_err(|error| ArtifactError::io("create", path, error))?)
            }
        };
        let line = format!("{}\n", digest.as_str());
        file.write_all(line.as_bytes()).map_err(|error| ArtifactError::io("write", path, error))?;
        drop(notes);
        Ok(gate)
    }

    /// Locks the gate. Every call opens the file again, because threads that share an open file share its lock.
    fn gate(&self, lock: impl Fn(&File) -> io::Result<()>) -> Result<Gate, ArtifactError> {
        let path = self.folder.join(GATE);
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder).map_err(|error| ArtifactError::io("create", &self.folder, error))?;
                open()
            }
            opened => opened,
        };
        let file = file.map_err(|error| ArtifactError::io("open", &path, error))?;
        loop {
            match lock(&file) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => {
                    locked.map_err(|error| ArtifactError::io("lock", &path, error))?;
                    return Ok(Gate { file: Some(file) });
                }
            }
        }
    }

    /// Reads all notes.
    pub(super) fn held(&self) -> Result<Held, ArtifactError> {
        let mut held = Held { digests: HashSet::new(), read: HashMap::new() };
        drop(self.close(&mut held)?);
        Ok(held)
    }

    /// Keeps everybody from publishing, and reads the notes that were written since the last call.
    pub(super) fn close(&self, held: &mut Held) -> Result<Gate, ArtifactError> {
        let gate = self.gate(File::lock)?;
        for path in self.files()? {
            let failed = |error| ArtifactError::io("read", &path, error);
            let mut file = match File::open(&path) {
                // The engine has removed the notes of an ended attempt.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(failed)?,
            };
            let from = held.read.get(&path).copied().unwrap_or(0);
            let mut text = Vec::new();
            file.seek(SeekFrom::Start(from)).map_err(failed)?;
            file.read_to_end(&mut text).map_err(failed)?;
            // The last line of a process that was killed may be torn.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            held.digests.extend(text[..whole].split(|byte| *byte == b'\n').filter_map(noted));
            held.read.insert(path, from + whole as u64);
        }
        Ok(gate)
    }

    fn files(&self) -> Result<Vec<PathBuf>, ArtifactError> {
        let failed = |error| ArtifactError::io("read the folder", &self.folder, error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.file_name().is_some_and(|name| name != GATE) {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// Removes notes that count no longer: of processes, and with `Attempts::Ended` also those of attempts.
    pub(super) fn forget(&self, attempts: Attempts) -> Result<(), ArtifactError> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        let _gate = self.gate(File::lock)?;
        for path in self.files()? {
            let is_attempt = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ATTEMPT));
            let counts = if is_attempt { attempts == Attempts::AtWork } else { is_recent(&path) };
            if !counts {
                // A leftover only keeps content for longer.
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }

    /// Removes the notes of an attempt.
    pub(super) fn release(&self, attempt: &str) {
        // A leftover only keeps content until the next engine.
        let _ = fs::remove_file(attempt_path(&self.folder, attempt));
    }
}

/// State of the attempts of a state directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempts {
    AtWork,
    /// No engine knows any attempt: what they have published counts no longer.
    Ended,
}

fn attempt_path(folder: &Path, attempt: &str) -> PathBuf {
    folder.join(format!("{ATTEMPT}{attempt}"))
}

/// The digest in a line. After a write that a full disk cut short, a line has a fragment before its digest.
fn noted(line: &[u8]) -> Option<Digest> {
    let digits = line.get(line.len().checked_sub(DIGEST_DIGITS)?..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_recent(path: &Path) -> bool {
    let age = path.metadata().and_then(|found| found.modified()).map(|at| SystemTime::now().duration_since(at));
    // A file from the future, after the clock was set back, counts.
    age.is_ok_and(|age| age.map_or(true, |age| age < KEPT_FOR))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::ArtifactStore;

    fn attempt(state: &Path, name: &str) -> ArtifactStore {
        ArtifactStore::open_as(state, &Holder::Attempt(name.to_owned())).unwrap()
    }

    #[test]
    fn content_stays_while_somebody_who_published_it_is_at_work() {
        let dir = tempfile::tempdir().unwrap();
        let old = ArtifactStore::open_as(dir.path(), &Holder::Nobody).unwrap();
        let shared = old.put_bytes(b"shared", "x").unwrap().digest;
        let alone = old.put_bytes(b"alone", "x").unwrap().digest;
        let mut held = old.held().unwrap();
        let both = [shared.clone(), alone.clone()];
        // Finds the content there and writes nothing.
        attempt(dir.path(), "one").put_bytes(b"shared", "y").unwrap();
        let removed = old.remove_unless_held(&both, &mut held).unwrap();
        assert_eq!(removed.iter().collect::<Vec<_>>(), [&alone]);
        assert!(old.blob_path(&shared).exists() && !old.blob_path(&alone).exists());
        assert!(old.held().unwrap().contains(&shared), "a later clean-up knows it, too");
        old.forget_holds(Attempts::AtWork).unwrap();
        assert!(old.held().unwrap().contains(&shared));
        old.release("one");
        assert_eq!(old.remove_unless_held(&both, &mut old.held().unwrap()).unwrap(), both);
    }

    #[test]
    fn a_new_engine_forgets_attempts_and_keeps_other_processes() {
        let dir = tempfile::tempdir().unwrap();
        let server = ArtifactStore::open(dir.path()).unwrap();
        let file = server.put_bytes(b"file", "x").unwrap().digest;
        let lost = attempt(dir.path(), "one").put_bytes(b"lost", "x").unwrap().digest;
        server.forget_holds(Attempts::Ended).unwrap();
        let held = server.held().unwrap();
        assert!(held.contains(&file) && !held.contains(&lost));
    }

    #[test]
    fn notes_are_forgotten_after_an_hour_and_written_again_by_a_handle_that_lives() {
        let dir = tempfile::tempdir().unwrap();
        let server = ArtifactStore::open(dir.path()).unwrap();
        let early = server.put_bytes(b"early", "x").unwrap().digest;
        let long_ago = SystemTime::now() - 2 * KEPT_FOR;
        for path in server.holds().files().unwrap() {
            File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
        server.forget_holds(Attempts::AtWork).unwrap();
        let late = server.put_bytes(b"late", "x").unwrap().digest;
        let held = server.held().unwrap();
        assert!(!held.contains(&early) && held.contains(&late));
    }

    #[test]
    fn a_torn_note_spoils_no_other() {
        let digest = Digest::of(b"x");
        let torn = format!("0123{}", digest.as_str());
        assert_eq!(noted(torn.as_bytes()), Some(digest));
        assert_eq!(noted(b"0123"), None);
        assert_eq!(noted(b""), None);
    }

    /// Published content stays there, in whatever order a clean-up and publishers run.
    #[test]
    fn a_clean_up_never_removes_what_was_published_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let sweeper = ArtifactStore::open(dir.path()).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let stored: Vec<Digest> = sweeper.stored().unwrap().into_iter().map(|(digest, _)| digest).collect();
                    let mut held = sweeper.held().unwrap();
                    sweeper.remove_unless_held(&stored, &mut held).unwrap();
                }
            });
            let publishers = [1, 2].map(|publisher| {
                let state = dir.path();
                scope.spawn(move || {
                    for round in 0..200 {
                        let name = format!("{publisher}-{round}");
                        let store = attempt(state, &name);
                        let artifact = store.put_bytes(format!("content {}", round % 3).as_bytes(), "x").unwrap();
                        thread::yield_now();
                        assert!(store.blob_path(&artifact.digest).exists(), "round {round}");
                        store.release(&name);
                    }
                })
            });
            let ended = publishers.map(|publisher| publisher.join().is_ok());
            over.store(true, Ordering::Relaxed);
            assert_eq!(ended, [true, true]);
        });
    }
}

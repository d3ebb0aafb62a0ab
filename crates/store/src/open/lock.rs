//! One engine per state directory. The lock is an flock, which the kernel releases however its holder ends; the content
//! of the file names the holder.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use stepwell_base::faults::around;
use stepwell_base::ids::RunId;

use super::migrate::SUPPORTED;
use crate::error::StoreError;
use crate::files::create_dir;
use crate::holder::{Holder, host_name};
use crate::layout::LOCK_FILE;

/// Device and inode of the lock files that this process holds. A process id is not enough: two containers that share a
/// state directory may both be process 1.
static HELD: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// The right to run steps in a state directory; released on drop or when the process ends.
#[derive(Debug)]
pub struct EngineLock {
    file: File,
    identity: (u64, u64),
    state_dir: PathBuf,
    holder: Holder,
}

/// Attempts to take the lock. A reader holds it for an instant to test it, so one refusal proves nothing.
const TRIES: u32 = 25;
const PAUSE: Duration = Duration::from_millis(4);

impl EngineLock {
    /// Takes the lock, creating the state directory if needed.
    ///
    /// # Errors
    /// `Locked` with the holder when an engine has it; `Io`, `ReadOnly`.
    pub fn acquire(state_dir: &Path) -> Result<EngineLock, StoreError> {
        create_dir(state_dir)?;
        let path = state_dir.join(LOCK_FILE);
        let failed = |error| StoreError::io("lock", &path, error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    let identity = identity(&file).map_err(failed)?;
                    held().insert(identity);
                    let (pid, started_at) = (std::process::id(), Timestamp::now());
                    let holder =
                        Holder { pid, host: host_name(), started_at, schema: SUPPORTED, run: None, slots: None };
                    let lock = EngineLock { file, identity, state_dir: state_dir.to_owned(), holder };
                    around!("store.lock.write", lock.write(&lock.holder)).map_err(failed)?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Err(StoreError::Locked { holder: read_holder(&path), path: state_dir.to_owned() })
    }

    /// The current holder of a state directory's lock; `None` if the lock is free.
    pub fn holder(state_dir: &Path) -> Option<Holder> {
        let path = state_dir.join(LOCK_FILE);
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&path)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// True if this process itself holds the lock of a state directory.
    pub fn is_held_here(state_dir: &Path) -> bool {
        let found = File::open(state_dir.join(LOCK_FILE)).and_then(|file| identity(&file));
        found.is_ok_and(|identity| held().contains(&identity))
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Tells other processes which runs this engine drives (`None`: all) and how many slots it has.
    pub fn record_work(&self, run: Option<RunId>, slots: usize) {
        // A record that cannot be written tells others less, and the lock holds all the same.
        let _ = self.write(&Holder { run, slots: Some(slots), ..self.holder.clone() });
    }

    /// Leaves a sign of life that outlives the process: the time of the file.
    pub fn touch(&self) {
        // Without it, the work of a killed engine only looks shorter.
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// True after `rm -r` of the state directory: the lock file has no name any more, so another engine can lock a new one.
    pub fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn write(&self, holder: &Holder) -> std::io::Result<()> {
        let text = serde_json::to_vec(holder)?;
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)
    }
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        // Closing the file releases the lock; a stale record in it would only mislead for an instant.
        let _ = self.file.set_len(0);
        held().remove(&self.identity);
    }
}

fn held() -> MutexGuard<'static, BTreeSet<(u64, u64)>> {
    // Each change of the set is one call, so a panic cannot leave it inconsistent.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn identity(file: &File) -> std::io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Reads the holder's record; it appears shortly after the lock is taken, so retry.
fn read_holder(path: &Path) -> Holder {
    for _ in 0..TRIES {
        let mut text = String::new();
        if File::open(path).and_then(|mut file| file.read_to_string(&mut text)).is_ok()
            && let Ok(holder) = serde_json::from_str(&text)
        {
            return holder;
        }
        sleep(PAUSE);
    }
    Holder { pid: 0, host: String::new(), started_at: Timestamp::UNIX_EPOCH, schema: 0, run: None, slots: None }
}

//! Caps the logs of running attempts. Its thread lives only while an attempt runs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::executor::AttemptId;
use super::log_cap::LogCap;

const INTERVAL: Duration = Duration::from_secs(1);
/// Used while a log grows fast.
const SHORT_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct LogKeeper {
    /// Maximum size of a log in bytes; 0 means no limit.
    limit: u64,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    logs: BTreeMap<AttemptId, LogCap>,
    has_thread: bool,
}

impl LogKeeper {
    pub(super) fn new(limit: u64) -> LogKeeper {
        LogKeeper { limit, watched: Arc::default() }
    }

    pub(super) fn watch(&self, id: AttemptId, log: PathBuf) -> io::Result<()> {
        if self.limit == 0 {
            return Ok(());
        }
        let mut watched = lock(&self.watched);
        if !watched.has_thread {
            let (shared, limit) = (self.watched.clone(), self.limit);
            thread::Builder::new().name("logs".to_owned()).spawn(move || keep(&shared, limit))?;
            watched.has_thread = true;
        }
        watched.logs.insert(id, LogCap::new(log, self.limit));
        Ok(())
    }

    /// Call when the attempt's processes are dead.
    pub(super) fn finish(&self, id: &AttemptId) {
        let log = lock(&self.watched).logs.remove(id);
        if let Some(log) = log {
            // On failure the log keeps its hole, which costs nothing.
            let _ = log.finish();
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    // Each look leaves the logs valid for the next one, so a poisoned lock is harmless.
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(watched: &Mutex<Watched>, limit: u64) {
    let mut interval = SHORT_INTERVAL;
    loop {
        thread::sleep(interval);
        let mut watched = lock(watched);
        if watched.logs.is_empty() {
            watched.has_thread = false;
            return;
        }
        // A log that cannot be read now may be readable at the next look. Its step continues.
        let growth = watched.logs.values_mut().map(|log| log.look().unwrap_or(0)).max();
        interval = if growth.unwrap_or(0) > limit / 16 { SHORT_INTERVAL } else { INTERVAL };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::time::Instant;

    use uuid::Uuid;

    use super::*;
    use stepwell_base::ids::{Fence, RunId};

    const LIMIT: u64 = 256 << 10;

    #[track_caller]
    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "not within 60 s: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_log_is_looked_after_also_when_the_thread_has_ended_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = LogKeeper::new(LIMIT);
        for number in 0..2 {
            let log = folder.path().join(number.to_string());
            fs::write(&log, "line\n".repeat(400_000)).unwrap();
            let id = AttemptId { run: RunId(Uuid::now_v7()), step: "a".into(), fence: Fence(1) };
            keeper.watch(id.clone(), log.clone()).unwrap();
            let on_disk = || fs::metadata(&log).unwrap().blocks() * 512;
            eventually("the middle of the log is given up", || on_disk() <= LIMIT + 8192);
            keeper.finish(&id);
            assert!(fs::metadata(&log).unwrap().len() <= LIMIT, "it has no hole any more");
            eventually("nothing is left to look after", || !lock(&keeper.watched).has_thread);
        }
    }
}

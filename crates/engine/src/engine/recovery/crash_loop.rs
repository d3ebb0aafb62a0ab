//! Safe mode. A supervisor that restarts a dead engine at once, such as systemd, loops forever when a run kills the
//! engine. After several such deaths in a row, a person must intervene.

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_steps::last_lines;
use stepwell_store::{EngineLock, Reader, Store, attempt_log};

use crate::error::EngineError;

/// File in the state directory. If it is lost or damaged, the engine forgets earlier deaths and starts.
const STARTS_FILE: &str = "engine-starts";
/// Deaths further apart than this do not count together.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
const LOG_LINES: usize = 10;

#[derive(Default, Serialize, Deserialize)]
struct Starts {
    /// The engine that has started and has not recorded its end.
    running: Option<Start>,
    /// Times at which an engine was found dead without progress.
    crashes: Vec<Timestamp>,
    safe_mode: bool,
}

#[derive(Serialize, Deserialize)]
struct Start {
    /// Newest event when the engine started.
    seq: i64,
}

/// Acquires the right to drive runs, for callers that submit a run before an engine starts: the engine never refuses a
/// run right after its submission.
///
/// # Errors
/// `Locked` when an engine holds the state directory, `CrashLoop` in safe mode.
pub fn admit(state_dir: &Path, limit: u64) -> Result<EngineLock, EngineError> {
    let lock = EngineLock::acquire(state_dir)?;
    let Starts { running, safe_mode, .. } = read(state_dir);
    if limit > 0 && (safe_mode || running.is_some()) {
        let store = Store::open(state_dir)?;
        look_back(store.reader(), state_dir, limit, Timestamp::now())?;
    }
    Ok(lock)
}

/// Records that an engine starts. `limit` deaths in a row lead to safe mode; 0 disables it.
///
/// # Errors
/// `CrashLoop` in safe mode.
pub(crate) fn note_start(reader: &Reader, state_dir: &Path, limit: u64, now: Timestamp) -> Result<(), EngineError> {
    let starts = look_back(reader, state_dir, limit, now)?;
    write(state_dir, &Starts { running: Some(Start { seq: reader.newest_event()? }), ..starts })
}

/// Reads the deaths of earlier engines, none of which runs now, and adds the latest one.
fn look_back(reader: &Reader, state_dir: &Path, limit: u64, now: Timestamp) -> Result<Starts, EngineError> {
    let mut starts = read(state_dir);
    if let Some(dead) = starts.running.take() {
        if reader.has_progressed(dead.seq)? {
            starts.crashes.clear();
        } else {
            starts.crashes.push(now);
        }
    }
    if !starts.safe_mode {
        starts.crashes.retain(|at| now.duration_since(*at).abs() <= WINDOW);
    }
    starts.safe_mode = limit > 0 && starts.crashes.len() as u64 >= limit;
    if starts.safe_mode {
        write(state_dir, &starts)?;
        return Err(explain(reader, state_dir, starts.crashes.len())?);
    }
    Ok(starts)
}

/// Records that the engine ends alive, for whatever reason. An end that cannot be recorded, such as on a full disk,
/// counts as a death.
pub(crate) fn note_end(state_dir: &Path) {
    let starts = Starts { running: None, ..read(state_dir) };
    let noted = if starts.crashes.is_empty() { leave_safe_mode(state_dir) } else { write(state_dir, &starts) };
    drop(noted);
}

/// Forgets earlier deaths, so that the next engine starts.
///
/// # Errors
/// When the file cannot be removed.
pub fn leave_safe_mode(state_dir: &Path) -> Result<(), EngineError> {
    let path = state_dir.join(STARTS_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(EngineError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Names the work that ran, with the last lines of its log.
fn explain(reader: &Reader, state_dir: &Path, crashes: usize) -> Result<EngineError, EngineError> {
    let mut suspects = String::new();
    let mut newest = None;
    for run in reader.open_runs()?.readable.into_iter().filter(|run| run.stored_status == RunStatus::Running) {
        newest = newest.or(Some(run.id));
        for step in reader.open_work(run.id, 0)?.iter().filter(|step| step.status == StepStatus::Running) {
            let log = last_lines(&attempt_log(state_dir, run.id, &step.id, step.attempts), LOG_LINES);
            let log = if log.is_empty() { "it printed nothing".to_owned() } else { format!("its last lines:\n{log}") };
            suspects.push_str(&format!("; it ran attempt {} of step `{}`; {log}", step.attempts, step.id));
        }
    }
    Ok(EngineError::CrashLoop { crashes, suspects, run: newest })
}

fn read(state_dir: &Path) -> Starts {
    let text = fs::read_to_string(state_dir.join(STARTS_FILE)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn write(state_dir: &Path, starts: &Starts) -> Result<(), EngineError> {
    let path = state_dir.join(STARTS_FILE);
    // No failpoint: losing the file does no harm.
    let write = || fs::write(&path, serde_json::to_vec(starts)?);
    write().map_err(EngineError::io("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_store::Store;

    const LIMIT: u64 = 3;

    /// State directory whose engines die without progress.
    struct Loop {
        state: tempfile::TempDir,
        store: Store,
    }

    impl Loop {
        fn new() -> Loop {
            let state = tempfile::tempdir().unwrap();
            let store = Store::open(state.path()).unwrap();
            Loop { state, store }
        }

        fn starts(&self) -> bool {
            match note_start(self.store.reader(), self.state.path(), LIMIT, Timestamp::now()) {
                Ok(()) => true,
                Err(EngineError::CrashLoop { crashes, .. }) => {
                    assert_eq!(crashes as u64, LIMIT);
                    false
                }
                Err(other) => panic!("{other}"),
            }
        }

        /// Moves the deaths so far `seconds` into the past.
        fn age(&self, seconds: i64) {
            let mut starts = read(self.state.path());
            starts.crashes.iter_mut().for_each(|at| *at -= SignedDuration::from_secs(seconds));
            write(self.state.path(), &starts).unwrap();
        }
    }

    #[test]
    fn deaths_in_a_row_lead_to_safe_mode_which_does_not_end_by_itself() {
        let deaths = Loop::new();
        assert!((0..LIMIT).all(|_| deaths.starts()));
        assert!(!deaths.starts());
        deaths.age(3600);
        assert!(!deaths.starts(), "safe mode is over only when a person says so");
        leave_safe_mode(deaths.state.path()).unwrap();
        assert!(deaths.starts());
    }

    #[test]
    fn deaths_that_are_far_apart_are_no_crash_loop() {
        let deaths = Loop::new();
        for _ in 0..3 * LIMIT {
            assert!(deaths.starts());
            deaths.age(40);
        }
    }

    #[test]
    fn an_engine_that_says_goodbye_has_not_died() {
        let deaths = Loop::new();
        for _ in 0..3 * LIMIT {
            assert!(deaths.starts());
            note_end(deaths.state.path());
        }
    }
}

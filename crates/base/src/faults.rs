//! Failpoints for tests: named points before and after everything that changes the world outside this process.
//! `--features failpoints` compiles them in, and the variable `FAILPOINTS` arms them, for example with
//! `store.commit.after=2*off->1*return(abort)` (at the third time). Without the feature no code of them remains.
//!
//! Actions: `return(abort)`, `return(error)` (EIO), `return(full)` (ENOSPC) and `sleep(MILLISECONDS)`. `return(abort-once)` aborts
//! one process only, of all those that share a record: a later attempt passes the point.

/// Evaluates `expression` between the points `layer.operation.before` and `layer.operation.after` in
/// `around!("layer.operation", expression)`. The expression's error type must implement `From<io::Error>`.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! around {
    ($name:literal, $operation:expr) => {
        match $crate::faults::reach(concat!($name, ".before")) {
            Ok(()) => match $operation {
                Ok(done) => $crate::faults::reach(concat!($name, ".after")).map(|()| done).map_err(Into::into),
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        }
    };
}

/// The operation itself: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! around {
    ($name:literal, $operation:expr) => {
        $operation
    };
}

pub use around;

#[cfg(feature = "failpoints")]
pub use armed::{OPERATIONS, RECORD_VARIABLE, reach};

#[cfg(feature = "failpoints")]
mod armed {
    use std::fs::OpenOptions;
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::Once;

    /// Names a file to which every process appends `PID NAME` for each point that it reaches.
    pub const RECORD_VARIABLE: &str = "STEPWELL_FAULTS_RECORD";

    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    /// All operations with a point before and after. `crates/tidy` compares this list with the sources.
    pub const OPERATIONS: &[&str] = &[
        "artifact.clean",
        "artifact.copy.fsync",
        "artifact.copy.write",
        "artifact.folder.create",
        "artifact.fsync",
        "artifact.fsync_folder",
        "artifact.remove",
        "artifact.rename",
        "artifact.write",
        "batch.in_flight.write",
        "batch.results.publish",
        "batch.reuse.link",
        "batch.reuse.remove",
        "batch.segment.append",
        "batch.segment.create",
        "batch.segment.sync",
        "command.checkpoint.acknowledge",
        "command.checkpoint.commit",
        "command.checkpoint.prepare",
        "command.checkpoint.publish",
        "command.checkpoint.replace",
        "command.inputs",
        "command.outputs",
        "command.places",
        "command.reap",
        "command.spawn",
        "engine.clean",
        "engine.commit",
        "engine.gc.folder",
        "engine.gc.remove",
        "engine.logs.copy",
        "engine.reserve.fsync",
        "engine.reserve.write",
        "engine.wake.create",
        "engine.wake.write",
        "executor.log",
        "executor.reap",
        "executor.request",
        "executor.scratch",
        "executor.send",
        "executor.spawn",
        "remote.confirm",
        "remote.launch",
        "remote.list",
        "remote.price",
        "remote.record",
        "remote.status",
        "remote.terminate",
        "store.backup.copy",
        "store.backup.fsync",
        "store.commit",
        "store.folder.create",
        "store.head.fsync",
        "store.head.fsync_folder",
        "store.head.write",
        "store.lock.write",
        "store.migrate",
        "store.restore.head",
        "store.restore.keep",
        "store.restore.mark",
        "store.restore.remove",
        "store.restore.rename",
        "store.seal.renew",
        "store.set_up",
        "store.snapshot.fsync",
        "store.snapshot.publish",
        "store.snapshot.write",
        "store.wal.checkpoint",
        "store.wal.rewrite",
        "store.wal.truncate",
        "worker.write",
    ];

    /// Performs the action that the point is armed with, if any.
    ///
    /// # Errors
    /// The injected error.
    pub fn reach(point: &'static str) -> io::Result<()> {
        static ARM: Once = Once::new();
        // The scenario stays until the process ends; dropping it would disarm all points.
        ARM.call_once(|| std::mem::forget(fail::FailScenario::setup()));
        record(point);
        fail::fail_point!(point, |action| act(point, action.as_deref()));
        Ok(())
    }

    fn act(point: &str, action: Option<&str>) -> io::Result<()> {
        match action {
            Some("error") => Err(io::Error::from_raw_os_error(EIO)),
            Some("full") => Err(io::Error::from_raw_os_error(ENOSPC)),
            Some("abort-once") if !is_first() => Ok(()),
            _ => {
                #[expect(clippy::disallowed_methods, reason = "the last words of a process that aborts")]
                let _ = writeln!(io::stderr(), "stepwell: aborted by the failpoint `{point}`");
                std::process::abort()
            }
        }
    }

    /// True for the first process that asks, of all those that share a record.
    fn is_first() -> bool {
        let Some(record) = std::env::var_os(RECORD_VARIABLE) else { return true };
        OpenOptions::new().create_new(true).write(true).open(Path::new(&record).with_extension("aborted")).is_ok()
    }

    fn record(point: &str) {
        let Some(path) = std::env::var_os(RECORD_VARIABLE) else { return };
        let line = format!("{} {point}\n", std::process::id());
        let file = OpenOptions::new().create(true).append(true).open(path);
        // A test that needs the record fails without it.
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}

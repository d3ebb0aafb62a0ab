//! The FIFO by which other processes wake the engine: one byte, "look into the database".

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use stepwell_base::faults::around;
use stepwell_store::WAKE_FILE;

use crate::error::EngineError;

const WAKE: u8 = b'w';
/// Ends the listening thread of this engine.
pub(crate) const STOP: u8 = b's';

/// Wakes the engine of a state directory, if there is one. A request that is in the database already is
/// seen by a later engine anyway.
pub fn wake(state_dir: &Path) {
    send(state_dir, WAKE);
}

pub(crate) fn stop(state_dir: &Path) {
    send(state_dir, STOP);
}

fn send(state_dir: &Path, byte: u8) {
    // Opening fails when nobody listens; a full FIFO wakes as well as one more byte.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    if let Ok(mut fifo) = OpenOptions::new().write(true).custom_flags(nonblocking).open(state_dir.join(WAKE_FILE)) {
        let _ = around!("engine.wake.write", fifo.write_all(&[byte]));
    }
}

/// Opens the FIFO, making it if need be. Reading blocks until somebody wakes.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn listen(state_dir: &Path) -> Result<File, EngineError> {
    let path = state_dir.join(WAKE_FILE);
    let failed = EngineError::io("create the FIFO", &path);
    if !path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        around!("engine.wake.create", make(&path)).map_err(failed)?;
    }
    // Open for writing as well: then there is no end of file between two writers.
    OpenOptions::new().read(true).write(true).open(&path).map_err(EngineError::io("open the FIFO", &path))
}

#[cfg(not(target_vendor = "apple"))]
fn make(path: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, Mode, mkfifoat};
    Ok(mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

#[cfg(target_vendor = "apple")]
fn make(path: &Path) -> std::io::Result<()> {
    let status = std::process::Command::new("mkfifo").arg(path).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other("mkfifo failed")) }
}

//! The FIFO through which other processes wake the engine. One byte tells it to read the database.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use stepwell_base::faults::around;
use stepwell_store::WAKE_FILE;

use crate::error::EngineError;

const WAKE: u8 = b'w';
/// Byte that ends this engine's listening thread.
pub(crate) const STOP: u8 = b's';

/// Wakes the engine of a state directory if one runs. Otherwise the next engine finds the request in the database.
pub fn wake(state_dir: &Path) {
    send(state_dir, WAKE);
}

pub(crate) fn stop(state_dir: &Path) {
    send(state_dir, STOP);
}

fn send(state_dir: &Path, byte: u8) {
    // Opening fails when no engine listens. A full FIFO already wakes the engine.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    if let Ok(mut fifo) = OpenOptions::new().write(true).custom_flags(nonblocking).open(state_dir.join(WAKE_FILE)) {
        let _ = around!("engine.wake.write", fifo.write_all(&[byte]));
    }
}

/// Opens the FIFO and creates it if necessary. A read blocks until a process writes.
///
/// # Errors
/// When the FIFO cannot be created.
pub(crate) fn listen(state_dir: &Path) -> Result<File, EngineError> {
    let path = state_dir.join(WAKE_FILE);
    let failed = EngineError::io("create the FIFO", &path);
    if !path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        around!("engine.wake.create", make(&path)).map_err(failed)?;
    }
    // Opening for writing as well prevents an end of file between two writers.
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

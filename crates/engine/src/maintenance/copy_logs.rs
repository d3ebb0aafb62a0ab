//! Copies the logs of attempts and the metrics files of a state directory into a backup, and back.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom as Extent, seek};

use stepwell_base::faults::around;
use stepwell_base::ids::RunId;
use stepwell_store::{Backup, RUNS_DIR, Reader};

use super::error::MaintenanceError;

/// Copies the logs of all runs of the backup. Returns the number of files. A running engine may still write some of
/// them; the copy has their beginning.
///
/// # Errors
/// When the backup cannot be written.
pub fn back_up_logs(state_dir: &Path, backup: &Backup) -> Result<usize, MaintenanceError> {
    copy_logs(state_dir, backup.folder())
}

/// Restores logs that the state directory lacks. Returns the number of files.
///
/// # Errors
/// When the state directory cannot be written.
pub fn put_back_logs(state_dir: &Path, backup: &Path) -> Result<usize, MaintenanceError> {
    copy_logs(backup, state_dir)
}

/// Copies the files of the runs that the target's database has, except those that exist there.
fn copy_logs(from: &Path, to: &Path) -> Result<usize, MaintenanceError> {
    let rows = Reader::open(to)?.runs()?.readable;
    let known: BTreeSet<RunId> = rows.into_iter().filter(|row| row.pruned_at.is_none()).map(|row| row.id).collect();
    let mut copied = 0;
    for run in known {
        let run = Path::new(RUNS_DIR).join(run.to_string());
        for step in entries(&from.join(&run))?.into_iter().filter(|path| path.is_dir()) {
            let Some(name) = step.file_name() else { continue };
            let target = to.join(&run).join(name);
            for file in entries(&step)? {
                copied += usize::from(copy_new(&file, &target)?);
            }
        }
    }
    Ok(copied)
}

/// Entries of a folder in order; none if it does not exist. Does not follow links.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, MaintenanceError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(MaintenanceError::io("read", folder))?,
    };
    let mut paths: Vec<PathBuf> =
        listed.flatten().map(|entry| entry.path()).filter(|path| !path.is_symlink()).collect();
    paths.sort();
    Ok(paths)
}

/// Copies a regular file into a folder. Returns false if there is one of its name, or if it is gone.
fn copy_new(file: &Path, folder: &Path) -> Result<bool, MaintenanceError> {
    let Some(name) = file.file_name().filter(|_| file.is_file()) else { return Ok(false) };
    let target = folder.join(name);
    if target.exists() {
        return Ok(false);
    }
    let Ok(source) = File::open(file) else { return Ok(false) };
    fs::create_dir_all(folder).map_err(MaintenanceError::io("create", folder))?;
    around!("engine.logs.copy", copy(source, &target)).map_err(MaintenanceError::io("write", &target))?;
    Ok(true)
}

/// Copies the data of a file and leaves its holes: the log of a running attempt may have a hole of any size.
fn copy(mut source: File, target: &Path) -> io::Result<()> {
    let mut copy = OpenOptions::new().write(true).create_new(true).open(target)?;
    let length = source.metadata()?.len();
    let mut at = 0;
    while at < length {
        // A file system that does not know holes says that everything is data.
        let Ok(start) = seek(&source, Extent::Data(at)) else { break };
        let end = seek(&source, Extent::Hole(start)).unwrap_or(length).min(length);
        source.seek(SeekFrom::Start(start))?;
        copy.seek(SeekFrom::Start(start))?;
        io::copy(&mut (&mut source).take(end.saturating_sub(start)), &mut copy)?;
        at = end.max(start + 1);
    }
    // No failpoint: that of the whole copy is in `copy_new`.
    copy.set_len(length)?;
    copy.flush()?;
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_stays_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let (log, target) = (folder.path().join("attempt-1.log"), folder.path().join("copies"));
        let mut file = File::create(&log).unwrap();
        file.write_all(b"start").unwrap();
        // More than the disk holds.
        file.seek(SeekFrom::Start(1 << 40)).unwrap();
        file.write_all(b"end").unwrap();
        assert!(copy_new(&log, &target).unwrap());
        assert!(!copy_new(&log, &target).unwrap(), "an existing file stays");
        let mut copied = File::open(target.join("attempt-1.log")).unwrap();
        assert_eq!(copied.metadata().unwrap().len(), (1 << 40) + 3);
        let mut text = String::new();
        copied.seek(SeekFrom::Start(1 << 40)).unwrap();
        copied.read_to_string(&mut text).unwrap();
        assert_eq!(text, "end");
    }
}

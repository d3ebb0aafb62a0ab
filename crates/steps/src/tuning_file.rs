//! Kernels that proved fastest on each GPU, kept in [`TUNING_FILE`]. A resumed attempt uses the kernels of its
//! checkpoint instead.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::handler::Reporter;
use super::replace_file::replace_file;
use stepwell_base::protocol::TUNING_FILE;
use stepwell_train::device::tuning::{self, Tuning};

pub struct TuningFile {
    state_dir: PathBuf,
}

impl TuningFile {
    pub fn of(state_dir: &Path) -> Self {
        TuningFile { state_dir: state_dir.to_owned() }
    }

    /// Adopts the choices for the GPU of this process, if it has one. A file that cannot be read gives a note.
    pub fn adopt(&self, reporter: &mut dyn Reporter) {
        let device = tuning::current().device;
        if device.is_empty() {
            return;
        }
        match self.read() {
            Ok(devices) => devices.into_iter().filter(|kept| kept.device == device).for_each(tuning::adopt),
            Err(error) => reporter.note(format!("cannot read {}: {error}", self.path().display())),
        }
    }

    /// Adds new choices. A file that cannot be written gives a note.
    pub fn keep(&self, tuning: &Tuning, reporter: &mut dyn Reporter) {
        if let Err(error) = self.add(tuning) {
            reporter.note(format!("cannot write {}: {error}", self.path().display()));
        }
    }

    /// Replaces a file that is not valid JSON.
    fn add(&self, tuning: &Tuning) -> io::Result<()> {
        if tuning.is_empty() {
            return Ok(());
        }
        // The file is replaced, so the lock that keeps other workers out is on the directory.
        let directory = File::open(&self.state_dir)?;
        directory.lock()?;
        let before = match self.read() {
            Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
            read => read.unwrap_or_default(),
        };
        let mut devices = before.clone();
        match devices.iter_mut().find(|kept| kept.device == tuning.device) {
            Some(kept) => kept.extend(tuning.clone()),
            None => devices.push(tuning.clone()),
        }
        if devices != before {
            replace_file(&self.path(), &serde_json::to_vec_pretty(&devices)?)?;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.state_dir.join(TUNING_FILE)
    }

    fn read(&self) -> io::Result<Vec<Tuning>> {
        match fs::read(self.path()) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(device: &str, rows: &[usize]) -> Tuning {
        let choice = |rows: &usize| {
            let shape = format!(r#""batch":1,"rows":{rows},"inner":8,"columns":8,"left":"rows","right":"rows""#);
            format!(r#"{{"product":{{{shape},"elements":"f32","output":"f32"}},"kernel":"k{rows}"}}"#)
        };
        let choices: Vec<String> = rows.iter().map(choice).collect();
        serde_json::from_str(&format!(r#"{{"device":"{device}","choices":[{}]}}"#, choices.join(","))).unwrap()
    }

    #[test]
    fn each_device_has_its_own_choices_and_they_grow() {
        let dir = tempfile::tempdir().unwrap();
        let file = TuningFile::of(dir.path());
        file.add(&Tuning::default()).unwrap();
        assert!(file.read().unwrap().is_empty() && !file.path().exists(), "the CPU has none");
        for (device, rows) in [("a", vec![1, 3]), ("b", vec![1]), ("a", vec![2, 3])] {
            file.add(&tuning(device, &rows)).unwrap();
        }
        assert_eq!(file.read().unwrap(), [tuning("a", &[1, 2, 3]), tuning("b", &[1])]);
    }

    #[test]
    fn workers_at_the_same_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let file = TuningFile::of(dir.path());
                scope.spawn(move || (0..10).for_each(|row| file.add(&tuning("a", &[10 * worker + row])).unwrap()));
            }
        });
        assert_eq!(TuningFile::of(dir.path()).read().unwrap(), [tuning("a", &(0..40).collect::<Vec<_>>())]);
    }

    #[test]
    fn a_damaged_file_is_replaced_and_an_unreadable_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = TuningFile::of(dir.path());
        fs::write(file.path(), b"[{").unwrap();
        assert!(file.read().is_err());
        file.add(&tuning("a", &[1])).unwrap();
        assert_eq!(file.read().unwrap(), [tuning("a", &[1])]);
        fs::remove_file(file.path()).unwrap();
        fs::create_dir(file.path()).unwrap();
        assert!(file.add(&tuning("a", &[1])).is_err() && file.path().is_dir());
    }
}

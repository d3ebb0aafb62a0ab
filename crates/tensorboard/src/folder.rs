//! The folder of one series. TensorBoard takes each folder for a run of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::event::{self, Hyperparameter, Row};
use crate::file::{End, EventFile};
use crate::naming;
use crate::rows::Rows;

/// What the first file of a folder says about its series.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Heading {
    /// Sessions of one group are shown as one line of the table.
    pub group: String,
    pub parameters: Vec<(String, Hyperparameter)>,
}

/// Event files with rows in order of their training steps, none of them twice.
pub struct Folder {
    path: PathBuf,
    heading: Heading,
    /// Oldest first.
    files: Vec<EventFile>,
    /// The newest file, while rows are appended.
    open: Option<File>,
    /// Rows from this step on were cut off, so that the next row starts a new file.
    void_from: Option<u64>,
}

impl Folder {
    /// Opens a folder, which need not exist, and cuts off what a process left unfinished.
    ///
    /// # Errors
    /// When a file cannot be read or cut.
    pub fn open(path: &Path, heading: Heading) -> io::Result<Folder> {
        let mut folder = Folder { path: path.to_owned(), heading, files: Vec::new(), open: None, void_from: None };
        for name in folder.names()? {
            let (file, end) = EventFile::open(path, name)?;
            folder.files.push(file);
            if end == End::Torn {
                // A reader that runs may be in the middle of what was cut off: it gets a new file.
                folder.void_from = Some(folder.next_step());
            }
        }
        Ok(folder)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok().filter(|name| naming::is_ours(name)));
        }
        names.sort();
        Ok(names)
    }

    /// The training step of the last row.
    pub fn last_step(&self) -> Option<u64> {
        self.files.iter().rev().find_map(|file| file.last)
    }

    fn next_step(&self) -> u64 {
        self.last_step().map_or(0, |last| last + 1)
    }

    /// All rows, oldest first.
    pub fn rows(&self) -> Rows {
        Rows::of(self.files.iter().map(|file| self.path.join(&file.name)).collect())
    }

    /// False if somebody has removed or changed a file since this value was made.
    pub fn is_intact(&self) -> bool {
        let is_same = |file: &EventFile| {
            fs::metadata(self.path.join(&file.name)).is_ok_and(|metadata| metadata.len() == file.len)
        };
        self.files.iter().all(is_same)
    }

    /// Cuts off all rows from a training step on.
    ///
    /// # Errors
    /// When a file cannot be cut.
    pub fn rewind(&mut self, from: u64) -> io::Result<()> {
        self.close();
        while let Some(mut file) = self.files.pop_if(|file| file.last.is_none_or(|last| last >= from)) {
            if file.rewind(&self.path, from)? {
                self.files.push(file);
                break;
            }
            fs::remove_file(self.path.join(&file.name))?;
        }
        self.void_from = Some(from);
        Ok(())
    }

    /// Appends a row. Its step must be larger than that of the last row.
    ///
    /// # Errors
    /// When it cannot be written, or `InvalidInput` for a step that is not the next.
    pub fn append(&mut self, wall_time: f64, row: &Row) -> io::Result<()> {
        if row.train_step < self.next_step() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the rows of event files are in order"));
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.open_newest(wall_time)?,
        };
        if let Some(newest) = self.files.last_mut() {
            newest.append(&mut file, &event::row(wall_time, row))?;
            newest.last = Some(row.train_step);
        }
        self.open = Some(file);
        Ok(())
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> io::Result<()> {
        match &self.open {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }

    /// Closes the file until the next row.
    pub fn close(&mut self) {
        self.open = None;
    }

    fn open_newest(&mut self, wall_time: f64) -> io::Result<File> {
        if let (Some(newest), None) = (self.files.last(), self.void_from) {
            return newest.append_to(&self.path);
        }
        fs::create_dir_all(&self.path)?;
        let has_heading = !self.files.is_empty();
        let names = self.files.iter().map(|file| file.name.as_str());
        let name = naming::next(names, wall_time.max(0.0) as u64, std::process::id());
        let (mut newest, mut file) = EventFile::create(&self.path, name)?;
        newest.append(&mut file, &event::version(wall_time))?;
        if let Some(from) = self.void_from {
            newest.append(&mut file, &event::session_start(wall_time, from))?;
        }
        if !has_heading && !self.heading.parameters.is_empty() {
            let Heading { group, parameters } = &self.heading;
            newest.append(&mut file, &event::session(wall_time, group, parameters))?;
            newest.append(&mut file, &event::parameters(wall_time, parameters))?;
        }
        self.files.push(newest);
        self.void_from = None;
        Ok(file)
    }
}

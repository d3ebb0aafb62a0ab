//! The files of a model by name, wherever they lie: a folder, or the blobs of an artifact.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{ModelError, Problem, shown};

use super::mapped_file::MappedFile;

/// Files that a folder of a model may have; the rest of a larger folder is not looked at.
const MOST_FILES: usize = 4096;

/// Files of a model: name within the model, and where the content lies.
#[derive(Clone, Debug, Default)]
pub struct ModelFiles {
    files: BTreeMap<String, PathBuf>,
}

impl ModelFiles {
    /// The files of a folder, not of folders in it; or one file under its own name.
    ///
    /// # Errors
    /// When the path cannot be read, or has more than 4,096 entries.
    pub fn at(path: &Path) -> Result<ModelFiles, ModelError> {
        let error = |source| Problem::Io(source).in_file(path.display().to_string());
        if !std::fs::metadata(path).map_err(error)?.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("model");
            return Ok(ModelFiles::from_iter([(name.to_owned(), path.to_owned())]));
        }
        let mut files = BTreeMap::new();
        for (index, entry) in std::fs::read_dir(path).map_err(error)?.enumerate() {
            if index >= MOST_FILES {
                let problem =
                    Problem::TooLarge { what: "the number of files", found: index as u64, limit: MOST_FILES as u64 };
                return Err(problem.in_file(path.display().to_string()));
            }
            let entry = entry.map_err(error)?;
            // Follows links: the cache of the Hugging Face hub consists of them.
            let is_file = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            if let (true, Ok(name)) = (is_file, entry.file_name().into_string()) {
                files.insert(name, entry.path());
            }
        }
        Ok(ModelFiles { files })
    }

    /// Only the files with these names.
    #[must_use]
    pub fn only(&self, names: &BTreeSet<String>) -> ModelFiles {
        let named = self.files.iter().filter(|(name, _)| names.contains(*name));
        named.map(|(name, path)| (name.clone(), path.clone())).collect()
    }

    /// Adds or replaces a file, such as the tokenizer of a model that was trained here.
    #[must_use]
    pub fn with(mut self, name: &str, path: PathBuf) -> ModelFiles {
        self.files.insert(name.to_owned(), path);
        self
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// The only file that ends with `.gguf`, or that starts with the magic number of GGUF if there is only one file.
    pub fn gguf(&self) -> Option<&str> {
        let mut named = self.names().filter(|name| name.ends_with(".gguf"));
        match (named.next(), named.next()) {
            (Some(name), None) => Some(name),
            (None, _) if self.files.len() == 1 => {
                let (name, path) = self.iter().next()?;
                let mut magic = [0; 4];
                let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
                (read.is_ok() && &magic == b"GGUF").then_some(name)
            }
            _ => None,
        }
    }

    /// Reads a whole file of at most `limit` bytes; `None` when the model does not have it.
    ///
    /// # Errors
    /// `TooLarge`, `Io`.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ModelError> {
        let Some(path) = self.files.get(name) else { return Ok(None) };
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| Problem::Io(error).in_file(name))?;
        if bytes.len() as u64 > limit {
            return Err(Problem::TooLarge { what: "its size", found: bytes.len() as u64, limit }.in_file(name));
        }
        Ok(Some(bytes))
    }

    /// Maps a file.
    ///
    /// # Errors
    /// `FileName` for a name with a folder in it, `Missing`, `Io`.
    pub fn map(&self, name: &str, named_by: &str) -> Result<MappedFile, ModelError> {
        let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
        if !plain {
            return Err(Problem::FileName(shown(name)).in_file(named_by));
        }
        let path = self.files.get(name).ok_or_else(|| Problem::Missing.in_file(shown(name)))?;
        MappedFile::open(path).map_err(|error| Problem::Io(error).in_file(name))
    }
}

impl FromIterator<(String, PathBuf)> for ModelFiles {
    fn from_iter<I: IntoIterator<Item = (String, PathBuf)>>(files: I) -> Self {
        ModelFiles { files: files.into_iter().collect() }
    }
}

//! A file that is being downloaded, with a record of what is durable. A later attempt continues after the last durable
//! byte, once it has checked those before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digests::Digests;

/// Validators of the server's file, by which a change is noticed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Version {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// Length of the whole file.
    pub length: Option<u64>,
}

impl Version {
    /// Value of `If-Range`: a strong entity tag, or else the date. Without either, nothing says that the rest belongs to
    /// the start.
    pub fn condition(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    /// True if both can be versions of the same content.
    pub fn agrees(&self, other: &Version) -> bool {
        match (&self.etag, &other.etag) {
            (Some(one), Some(other)) => one == other,
            _ => self.last_modified == other.last_modified && self.length == other.length,
        }
    }
}

/// The record beside a partial file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Record {
    url: String,
    version: Version,
    /// Durable bytes, and their SHA-256.
    bytes: u64,
    sha256: String,
    complete: bool,
}

pub struct Partial {
    path: PathBuf,
    file: File,
    record: Record,
    pub digests: Digests,
    /// Bytes written, durable or not.
    pub bytes: u64,
    git_length: Option<u64>,
}

impl Partial {
    /// Opens the partial file of an earlier attempt if it is sound and of this address, or an empty one.
    pub fn open(path: &Path, url: &str, git_length: Option<u64>) -> io::Result<Partial> {
        let record =
            std::fs::read(record_path(path)).ok().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        if let Some(record) = record.filter(|record| record.url == url)
            && let Some((file, digests)) = sound(path, &record, git_length)?
        {
            let bytes = record.bytes;
            return Ok(Partial { path: path.to_owned(), file, record, digests, bytes, git_length });
        }
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let record = Record {
            url: url.to_owned(),
            version: Version::default(),
            bytes: 0,
            sha256: String::new(),
            complete: false,
        };
        let mut partial =
            Partial { path: path.to_owned(), file, record, digests: Digests::new(git_length), bytes: 0, git_length };
        partial.restart(Version::default())?;
        Ok(partial)
    }

    pub fn is_complete(&self) -> bool {
        self.record.complete
    }

    pub fn version(&self) -> &Version {
        &self.record.version
    }

    /// Empties the file for a version.
    pub fn restart(&mut self, version: Version) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.digests = Digests::new(self.git_length);
        self.bytes = 0;
        self.record.version = version;
        self.save(Complete::No)
    }

    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digests.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything written durable.
    pub fn save(&mut self, complete: Complete) -> io::Result<()> {
        self.file.sync_data()?;
        self.record.bytes = self.bytes;
        self.record.sha256 = self.digests.sha256();
        self.record.complete = complete == Complete::Yes;
        // The record is replaced as a whole: a crash leaves the old one, which fits the longer file.
        let path = record_path(&self.path);
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&serde_json::to_vec(&self.record)?)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the file and its record.
    pub fn remove(self) {
        let _ = std::fs::remove_file(record_path(&self.path));
        let _ = std::fs::remove_file(&self.path);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Complete {
    No,
    Yes,
}

fn record_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// Opens the file behind its durable bytes if they are those of the record.
fn sound(path: &Path, record: &Record, git_length: Option<u64>) -> io::Result<Option<(File, Digests)>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut digests = Digests::new(git_length);
    let mut left = record.bytes;
    let mut buffer = vec![0; 1 << 18];
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = file.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Ok(None);
        }
        digests.update(&buffer[..read]);
        left -= read as u64;
    }
    if digests.sha256() != record.sha256 {
        return Ok(None);
    }
    file.set_len(record.bytes)?;
    file.seek(SeekFrom::Start(record.bytes))?;
    Ok(Some((file, digests)))
}

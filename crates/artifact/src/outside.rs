//! Files outside the store: lists folders and opens files without ever blocking. Links are followed. A pipe, a
//! socket or a device is refused with its name, because opening one can block forever.

use std::collections::BTreeSet;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use walkdir::WalkDir;

use stepwell_base::failure::Failure;

/// Limit on files and folders in one listing. Links can make a small folder look endless.
const MAXIMUM_ENTRIES: usize = 1_000_000;

/// A file or folder outside the store that cannot be used, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("`{}` {problem}", path.display())]
pub struct OutsideError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("is a link to `{}`, which does not exist", .0.display())]
    Dangling(PathBuf),
    #[error("is a link that leads back to itself or to a folder above it")]
    Loop,
    #[error("is {0}, not a regular file")]
    Irregular(&'static str),
    #[error("has a name that is not UTF-8")]
    Name,
    #[error("holds more than {0} files and folders, links followed")]
    TooMany(usize),
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

impl OutsideError {
    fn new(path: &Path, problem: Problem) -> OutsideError {
        OutsideError { path: path.to_owned(), problem }
    }

    /// Maps an error of an operation that follows links.
    pub fn io(path: &Path, error: io::Error) -> OutsideError {
        let problem = match (error.kind(), fs::read_link(path)) {
            (io::ErrorKind::NotFound, Ok(target)) => Problem::Dangling(target),
            // `ErrorKind::FilesystemLoop` is not stable.
            (_, Ok(_)) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Problem::Loop,
            _ => Problem::Io(error),
        };
        OutsideError::new(path, problem)
    }

    pub fn hint(&self) -> &'static str {
        match &self.problem {
            Problem::Dangling(_) | Problem::Loop => "remove the link, or put the file itself there",
            Problem::Irregular("a folder") => "a file is expected here",
            Problem::Irregular(_) => "remove it, or write a regular file",
            Problem::Name => "rename the file",
            Problem::TooMany(_) => "pack the files into an archive, or look for a link to a large folder",
            Problem::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => "make it readable for this user",
            Problem::Io(_) => "check the path and the disk",
        }
    }

    pub fn is_missing(&self) -> bool {
        matches!(&self.problem, Problem::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// A retry can help when a file vanished or a disk failed.
impl From<&OutsideError> for Failure {
    fn from(error: &OutsideError) -> Failure {
        let failure = match &error.problem {
            Problem::Io(cause) if !is_lasting(cause) => {
                Failure::io(format_args!("cannot read `{}`", error.path.display()), cause)
            }
            _ => Failure::fatal(error.to_string()),
        };
        failure.with_hint(error.hint())
    }
}

/// Returns true for an error that a retry does not cure: a missing permission, or a path that is too long or leads
/// through a file.
fn is_lasting(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, PermissionDenied};
    matches!(error.kind(), PermissionDenied | InvalidFilename | NotADirectory)
}

/// Opens a regular file for reading. Follows links.
///
/// # Errors
/// When the file cannot be opened or is not regular. A pipe without a writer is such an error and never a wait.
pub fn open_regular(path: &Path) -> Result<File, OutsideError> {
    let failed = |error| OutsideError::io(path, error);
    // Opening a device may have effects, so check first. If something replaces the file meanwhile, `NONBLOCK` keeps
    // the open from blocking.
    regular(path, &fs::metadata(path).map_err(failed)?)?;
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    regular(path, &file.metadata().map_err(failed)?)?;
    Ok(file)
}

fn regular(path: &Path, metadata: &Metadata) -> Result<(), OutsideError> {
    let kind = metadata.file_type();
    if kind.is_file() { Ok(()) } else { Err(OutsideError::new(path, Problem::Irregular(describe(kind)))) }
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    }
}

/// Contents of a path, with links followed.
#[derive(Debug)]
pub struct Listing {
    /// Sorted by name. A path that is itself a file has an empty name.
    pub files: Vec<OutsideFile>,
    /// Names of folders without entries.
    pub empty_folders: Vec<String>,
    pub is_folder: bool,
    /// True when a link was followed below the path.
    pub has_links: bool,
}

#[derive(Debug)]
pub struct OutsideFile {
    /// Relative to the listed folder, `/` between components.
    pub name: String,
    pub path: PathBuf,
    pub size: u64,
    pub is_executable: bool,
}

impl Listing {
    /// Lists a file, or a folder with everything below it.
    ///
    /// # Errors
    /// The first entry that is neither a file nor a folder, or is a dangling link or a loop.
    pub fn of(path: &Path) -> Result<Listing, OutsideError> {
        let is_folder = fs::metadata(path).map_err(|error| OutsideError::io(path, error))?.is_dir();
        let mut listing = Listing { files: Vec::new(), empty_folders: Vec::new(), is_folder, has_links: false };
        let mut empty = BTreeSet::new();
        for (count, entry) in WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().enumerate() {
            let entry = entry.map_err(|error| walk_error(path, error))?;
            if count > MAXIMUM_ENTRIES {
                return Err(OutsideError::new(path, Problem::TooMany(MAXIMUM_ENTRIES)));
            }
            listing.has_links |= entry.path_is_symlink() && entry.depth() > 0;
            let name = entry.path().strip_prefix(path).unwrap_or(entry.path());
            let name = name.to_str().ok_or_else(|| OutsideError::new(entry.path(), Problem::Name))?.to_owned();
            if let Some((parent, _)) = name.rsplit_once('/') {
                empty.remove(parent);
            }
            if entry.file_type().is_dir() {
                empty.insert(name);
                continue;
            }
            let metadata = entry.metadata().map_err(|error| walk_error(path, error))?;
            regular(entry.path(), &metadata)?;
            listing.files.push(OutsideFile {
                name,
                path: entry.path().to_owned(),
                size: metadata.len(),
                is_executable: metadata.permissions().mode() & 0o100 != 0,
            });
        }
        // The listed folder has the empty name.
        empty.remove("");
        listing.empty_folders = empty.into_iter().collect();
        Ok(listing)
    }
}

fn walk_error(root: &Path, error: walkdir::Error) -> OutsideError {
    let path = error.path().unwrap_or(root).to_owned();
    if error.loop_ancestor().is_some() {
        return OutsideError::new(&path, Problem::Loop);
    }
    OutsideError::io(&path, error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType as Kind, Mode, mknodat};

    use super::*;
    use stepwell_base::failure::FailureKind;

    fn pipe(path: &Path) {
        mknodat(CWD, path, Kind::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    }

    #[test]
    fn links_are_followed_and_empty_folders_and_modes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (dir.path().join("m"), dir.path().join("elsewhere"));
        fs::create_dir_all(root.join("blobs/none")).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        fs::write(elsewhere.join("far.txt"), "far").unwrap();
        fs::write(root.join("blobs/abc"), "weights").unwrap();
        fs::set_permissions(root.join("blobs/abc"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("blobs/abc", root.join("model.bin")).unwrap();
        symlink(&elsewhere, root.join("out")).unwrap();
        let listing = Listing::of(&root).unwrap();
        let names: Vec<_> = listing.files.iter().map(|file| (file.name.as_str(), file.is_executable)).collect();
        assert_eq!(names, [("blobs/abc", true), ("model.bin", true), ("out/far.txt", false)]);
        assert_eq!(listing.empty_folders, ["blobs/none"]);
        assert!(listing.is_folder && listing.has_links);

        let one = Listing::of(&root.join("model.bin")).unwrap();
        assert_eq!((one.files[0].name.as_str(), one.files[0].size, one.is_folder), ("", 7, false));
        fs::create_dir(dir.path().join("bare")).unwrap();
        let bare = Listing::of(&dir.path().join("bare")).unwrap();
        assert!(bare.files.is_empty() && bare.empty_folders.is_empty() && bare.is_folder && !bare.has_links);
    }

    #[test]
    fn odd_entries_are_refused_by_name_and_never_waited_for() {
        type Make = fn(&Path);
        let cases: [(&str, Make); 5] = [
            ("is a link to `gone`, which does not exist", |at| symlink("gone", at).unwrap()),
            ("is a link that leads back", |at| symlink(".", at).unwrap()),
            ("is a link that leads back", |at| symlink("odd", at).unwrap()),
            ("is a pipe", |at| pipe(at)),
            ("is a socket", |at| drop(UnixListener::bind(at).unwrap())),
        ];
        for (said, make) in cases {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("fine"), "fine").unwrap();
            make(&dir.path().join("odd"));
            let error = Listing::of(dir.path()).unwrap_err();
            assert!(error.to_string().contains(said) && error.to_string().contains("odd"), "{error}");
            assert_eq!(Failure::from(&error).kind, FailureKind::Fatal, "{said}");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
        assert!(Listing::of(dir.path()).unwrap_err().to_string().ends_with("has a name that is not UTF-8"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        pipe(&at("pipe"));
        symlink("pipe", at("link")).unwrap();
        symlink("gone", at("dangling")).unwrap();
        for (name, said) in [
            ("pipe", "is a pipe"),
            ("link", "is a pipe"),
            ("dangling", "is a link to `gone`"),
            (".", "is a folder"),
            ("missing", "cannot be read"),
        ] {
            let error = open_regular(&at(name)).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.is_missing(), name == "missing");
        }
        assert!(open_regular(Path::new("/dev/zero")).unwrap_err().to_string().contains("is a device"));
        fs::write(at("file"), "text").unwrap();
        assert_eq!(io::read_to_string(open_regular(&at("file")).unwrap()).unwrap(), "text");
    }
}

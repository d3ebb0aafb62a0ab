//! The folder of the workflow file as a bundle: its files under one digest, sent once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use walkdir::WalkDir;

use stepwell_base::artifact::Digest;
use stepwell_base::failure::Failure;

use super::super::host::HostError;
use super::line::{Line, TRANSFER, quoted};

/// Larger projects hold data, which belongs in artifacts.
const MOST_FILES: usize = 20_000;
const MOST_BYTES: u64 = 512 << 20;

/// Files by path relative to the project, each with its digest and whether it may be executed.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: PathBuf,
    files: BTreeMap<PathBuf, (Digest, bool)>,
}

impl Bundle {
    /// Reads the files of a project: those that git does not ignore, or all of them where git knows nothing.
    pub(super) fn of(folder: &Path, state_dir: &Path) -> Result<Bundle, HostError> {
        let listed = git_files(folder).unwrap_or_else(|| all_files(folder, state_dir));
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        for path in listed.into_iter().filter(|path| !folder.join(path).starts_with(state_dir)) {
            let whole = folder.join(&path);
            // Folders of other repositories, sockets, and files that were deleted meanwhile.
            let Some(metadata) = fs::metadata(&whole).ok().filter(fs::Metadata::is_file) else { continue };
            bytes += metadata.len();
            if files.len() == MOST_FILES || bytes > MOST_BYTES {
                return Err(too_large(folder));
            }
            let digest = digest(&whole).map_err(|error| {
                HostError::Refused(Failure::io(format_args!("cannot read `{}`", whole.display()), &error))
            })?;
            files.insert(path, (digest, metadata.permissions().mode() & 0o100 != 0));
        }
        Ok(Bundle { folder: folder.to_owned(), files })
    }

    /// Digest of all paths, contents and marks of executables.
    pub(super) fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for (path, (digest, executable)) in &self.files {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(if *executable { b"\0x\0" } else { b"\0-\0" });
            hasher.update(digest.as_str().as_bytes());
        }
        Digest::from(hasher.finalize())
    }

    /// Sends the bundle unless the host has it, and returns its folder there.
    pub(super) fn push(&self, line: &Line, root: &str) -> Result<String, HostError> {
        let there = format!("{root}/projects/{}", &self.digest().as_str()[..32]);
        if !line.shell(&format!("[ -d {} ] && echo there; true", quoted(&there)))?.is_empty() {
            return Ok(there);
        }
        let broken = |error: io::Error| HostError::Unreachable(format!("tar: {error}"));
        let names: Vec<u8> =
            self.files.keys().flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\0"].concat()).collect();
        let mut command = Command::new("tar");
        command
            .arg("--create")
            .arg("--dereference")
            .arg("--directory")
            .arg(&self.folder)
            .args(["--null", "--files-from=-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // No failpoint: a bundle that breaks off has too few files, and gets no name.
        let mut child = command.spawn().map_err(broken)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let writer = std::thread::spawn(move || stdin.map(|mut stdin| io::Write::write_all(&mut stdin, &names)));
        let draft = quoted(&format!("{there}.draft-{}", std::process::id()));
        let script = format!(
            "umask 077; rm -rf {draft}; mkdir -p {draft} && tar -xf - -C {draft} && \
             [ $(find {draft} -type f | wc -l) -eq {} ] && {{ mv {draft} {} || [ -d {} ]; }}",
            self.files.len(),
            quoted(&there),
            quoted(&there)
        );
        let sent = match stdout {
            Some(stdout) => line.send(&script, stdout, TRANSFER),
            None => Err(HostError::Unreachable("tar has no output".to_owned())),
        };
        let _ = writer.join();
        let _ = child.kill();
        let _ = child.wait();
        sent.map(|_| there)
    }
}

/// Tracked files and new ones that are not ignored; `None` outside of a repository.
fn git_files(folder: &Path) -> Option<Vec<PathBuf>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    let path = |name: &[u8]| PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
    Some(output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(path).collect())
}

fn all_files(folder: &Path, state_dir: &Path) -> Vec<PathBuf> {
    let walk = WalkDir::new(folder).into_iter().filter_entry(|entry| entry.path() != state_dir);
    let files = walk.flatten().filter(|entry| !entry.file_type().is_dir());
    let relative = |path: &Path| path.strip_prefix(folder).ok().map(Path::to_owned);
    files.take(MOST_FILES + 1).filter_map(|entry| relative(entry.path())).collect()
}

fn digest(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Digest::from(hasher.finalize()))
}

fn too_large(folder: &Path) -> HostError {
    let message = format!(
        "the project `{}` has more than {MOST_FILES} files or {} MiB, too much to send with each change",
        folder.display(),
        MOST_BYTES >> 20
    );
    HostError::Refused(
        Failure::fatal(message)
            .with_hint("let git ignore data and results; a step that imports data makes an artifact of it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_changes_with_content_names_and_modes_only() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let state = dir.path().join("state");
        fs::create_dir(&state).unwrap();
        write("a.py", "1");
        write("state/ignored", "1");
        let bundle = || Bundle::of(dir.path(), &state).unwrap().digest();
        let first = bundle();
        write("state/ignored", "2");
        assert_eq!(bundle(), first);
        write("a.py", "2");
        let second = bundle();
        assert_ne!(second, first);
        fs::set_permissions(dir.path().join("a.py"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(bundle(), second);
    }
}

//! Files of a machine: what is there, by content, and copies of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use crate::error::ShellError;
use crate::plan::Upload;
use crate::shell::{Shell, WORK_DIR};

/// Files of one machine that are compared and copied.
const MOST: usize = 100_000;
const LISTING: u64 = 64 << 20;
/// Time for digests over everything that a machine has made.
const LISTING_TIME: Duration = Duration::from_secs(1800);
const UPLOAD_TIME: Duration = Duration::from_secs(3600);
const CHUNK: usize = 256 << 10;
/// Bytes of an error message.
const MESSAGE: u64 = 16 << 10;

/// A file below the work folder of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteFile {
    pub path: String,
    pub sha256: String,
}

/// Lists the files at and below `paths`. A path that does not exist has none.
///
/// # Errors
/// `Nonsense` for an answer that is no listing, and those of [`Shell::run`].
pub fn list_files(shell: &Shell, paths: &[String]) -> Result<Vec<RemoteFile>, ShellError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let script = format!(
        "cd {WORK_DIR} 2>/dev/null || exit 0\n\
         xargs -0 -n 1 sh -c '[ ! -e \"$1\" ] || find \"$1\" -type f -print0' x | sort -zu | xargs -0 -r sha256sum -bz --"
    );
    let names: Vec<u8> = paths.iter().flat_map(|path| path.bytes().chain([0])).collect();
    let output = shell.run(&script, &names, LISTING, LISTING_TIME)?;
    let mut files = Vec::new();
    for line in output.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let nonsense = || ShellError::Nonsense(format!("`{}` in a list of files", String::from_utf8_lossy(line)));
        let text = std::str::from_utf8(line).map_err(|_| nonsense())?;
        let (sha256, path) = text.split_once(" *").ok_or_else(nonsense)?;
        let path = path.trim_start_matches("./");
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) || !is_inside(path) {
            return Err(nonsense());
        }
        files.push(RemoteFile { path: path.to_owned(), sha256: sha256.to_owned() });
    }
    if files.len() > MOST {
        return Err(ShellError::Nonsense(format!("more than {MOST} files")));
    }
    Ok(files)
}

/// True for a relative path that leads nowhere else.
pub fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The files of the machine without an equal copy below `folder`.
///
/// # Errors
/// `File` when a copy cannot be read.
pub fn unsynced(files: &[RemoteFile], folder: &Path) -> Result<Vec<RemoteFile>, ShellError> {
    let mut missing = Vec::new();
    for file in files {
        let path = folder.join(&file.path);
        if !path.is_file() || sha256_of(&path)? != file.sha256 {
            missing.push(file.clone());
        }
    }
    Ok(missing)
}

/// Digest of a file of this machine.
///
/// # Errors
/// `File`.
pub(crate) fn sha256_of(path: &Path) -> Result<String, ShellError> {
    let failed = |source| ShellError::File { action: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).map_err(failed)? {
            0 => return Ok(hex(context)),
            read => context.update(&chunk[..read]),
        }
    }
}

fn hex(context: Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file to copy onto a machine, with its digest.
///
/// # Errors
/// `File`.
pub fn upload(from: &Path, to: &str) -> Result<Upload, ShellError> {
    let failed = |source| ShellError::File { action: "read", path: from.to_owned(), source };
    let bytes = fs::metadata(from).map_err(failed)?.len();
    Ok(Upload { to: to.to_owned(), from: from.display().to_string(), bytes, sha256: sha256_of(from)? })
}

/// Copies `files` of the machine below `folder`; returns the copied bytes. Each appears complete and with the digest that was
/// listed, or not at all: a file that has changed since is left for the next time.
///
/// # Errors
/// Those of [`Shell::run`]; files that were complete before stay.
pub fn pull(shell: &Shell, files: &[RemoteFile], folder: &Path) -> Result<u64, ShellError> {
    if files.is_empty() {
        return Ok(0);
    }
    let script = format!(
        "cd {WORK_DIR} && xargs -0 -n 1 sh -c \
         's=$(stat -c %s -- \"$1\") || exit 1; printf \"%s\\n\" \"$s\"; head -c \"$s\" -- \"$1\"' x"
    );
    let names: Vec<u8> = files.iter().flat_map(|file| file.path.bytes().chain([0])).collect();
    let mut child = shell.start(&script)?;
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut message = Vec::new();
    let received = thread::scope(|scope| {
        scope.spawn(|| {
            // The exit code says why the machine did not read the names.
            let _ = stdin.take().map(|mut stdin| stdin.write_all(&names));
        });
        scope.spawn(|| stderr.map(|stream| stream.take(MESSAGE).read_to_end(&mut message)));
        let mut stream = BufReader::with_capacity(CHUNK, stdout.ok_or_else(|| ended("before the first file"))?);
        let mut bytes = 0;
        for file in files {
            bytes += receive(&mut stream, file, folder)?;
        }
        Ok(bytes)
    });
    if received.is_err() {
        // What follows in the stream cannot be told apart any more. It may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|source| ShellError::Program { program: "ssh", source })?;
    match (received, status.code()) {
        (Ok(bytes), Some(0)) => Ok(bytes),
        (Err(error @ ShellError::File { .. }), _) => Err(error),
        (_, Some(code)) if code != 0 => Err(shell.failure(code, &message)),
        (Err(error), _) => Err(error),
        (Ok(_), _) => Err(ended("by a signal")),
    }
}

fn ended(place: &str) -> ShellError {
    ShellError::Nonsense(format!("an end of the copy {place}"))
}

/// Reads `SIZE\n` and so many bytes.
fn receive(stream: &mut impl BufRead, file: &RemoteFile, folder: &Path) -> Result<u64, ShellError> {
    let target = folder.join(&file.path);
    let failed = |action| {
        let path = target.clone();
        move |source| ShellError::File { action, path, source }
    };
    let broken = |error: std::io::Error| ShellError::Nonsense(format!("an incomplete `{}`: {error}", file.path));
    let mut head = Vec::new();
    stream.by_ref().take(32).read_until(b'\n', &mut head).map_err(broken)?;
    let size = std::str::from_utf8(&head).ok().and_then(|text| text.strip_suffix('\n')?.parse::<u64>().ok());
    let size = size.ok_or_else(|| ended(&format!("before `{}`", file.path)))?;
    let parent = target.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(failed("create the folder of"))?;
    let mut temporary = tempfile::NamedTempFile::new_in(parent).map_err(failed("create a file next to"))?;
    let mut context = Context::new(&SHA256);
    let (mut left, mut chunk) = (size, vec![0; CHUNK]);
    while left > 0 {
        let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        stream.read_exact(&mut chunk[..most]).map_err(broken)?;
        temporary.write_all(&chunk[..most]).map_err(failed("write"))?;
        context.update(&chunk[..most]);
        left -= most as u64;
    }
    if hex(context) != file.sha256 {
        return Ok(0);
    }
    temporary.as_file().sync_all().map_err(failed("sync"))?;
    temporary.persist(&target).map_err(|error| failed("write")(error.error))?;
    Ok(size)
}

/// Copies files onto a machine. Those that are there already are left alone.
///
/// # Errors
/// `File` for a file that has changed since the plan, and those of [`Shell::run`].
pub fn push(shell: &Shell, uploads: &[Upload]) -> Result<u64, ShellError> {
    let paths: Vec<String> = uploads.iter().map(|upload| upload.to.clone()).collect();
    let there = list_files(shell, &paths)?;
    let there: BTreeMap<&str, &str> = there.iter().map(|file| (file.path.as_str(), file.sha256.as_str())).collect();
    let mut bytes = 0;
    for upload in uploads.iter().filter(|upload| there.get(upload.to.as_str()) != Some(&upload.sha256.as_str())) {
        push_one(shell, upload)?;
        bytes += upload.bytes;
    }
    Ok(bytes)
}

fn push_one(shell: &Shell, upload: &Upload) -> Result<(), ShellError> {
    let path = PathBuf::from(&upload.from);
    let failed = |source| ShellError::File { action: "read", path: path.clone(), source };
    let changed = || failed(std::io::Error::other("it has changed since the plan was made"));
    if sha256_of(&path)? != upload.sha256 {
        return Err(changed());
    }
    let content = fs::read(&path).map_err(failed)?;
    let to = stepwell_base::shell::quote(&upload.to);
    let script = format!(
        "mkdir -p {WORK_DIR} && cd {WORK_DIR} && mkdir -p -- \"$(dirname -- {to})\" && cat > {to}.stepwell-new && mv -- {to}.stepwell-new {to} && sha256sum -b -- {to}"
    );
    let output = shell.run(&script, &content, MESSAGE, UPLOAD_TIME)?;
    if !output.starts_with(upload.sha256.as_bytes()) {
        return Err(ShellError::Nonsense(format!("another digest of `{}` than was sent", upload.to)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Key;
    use crate::provider::Address;

    fn machine(folder: &Path) -> Shell {
        let address = Address::Folder { path: folder.display().to_string() };
        Shell::new(&Key::random(), &address, &folder.join("known_hosts"), None).unwrap()
    }

    #[test]
    fn files_come_back_whole_under_their_names() {
        let (remote, local) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shell = machine(remote.path());
        let work = remote.path().join(WORK_DIR);
        assert_eq!(list_files(&shell, &["out".to_owned()]).unwrap(), []);
        fs::create_dir_all(work.join("out/deep er")).unwrap();
        let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        for (name, content) in [("out/a", &b"x"[..]), ("out/deep er/it's\n*", &large), ("out/empty", b""), ("not", b"")]
        {
            fs::write(work.join(name), content).unwrap();
        }
        let paths = ["out".to_owned(), "missing".to_owned()];
        let files = list_files(&shell, &paths).unwrap();
        assert_eq!(files.len(), 3, "{files:?}");
        assert_eq!(unsynced(&files, local.path()).unwrap(), files);
        assert_eq!(pull(&shell, &files, local.path()).unwrap(), 4_000_001);
        assert_eq!(unsynced(&files, local.path()).unwrap(), []);
        assert_eq!(fs::read(local.path().join("out/deep er/it's\n*")).unwrap(), large);
        fs::write(work.join("out/a"), "changed").unwrap();
        assert_eq!(pull(&shell, &files, local.path()).unwrap(), 4_000_000, "a changed file is left for the next time");
        let files = list_files(&shell, &paths).unwrap();
        assert_eq!(unsynced(&files, local.path()).unwrap().len(), 1);
        fs::remove_file(work.join("out/a")).unwrap();
        assert!(pull(&shell, &files, local.path()).is_err());
    }

    #[test]
    fn a_machine_cannot_name_files_elsewhere() {
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a\0b", "."] {
            assert!(!is_inside(bad), "{bad}");
        }
        assert!(is_inside("out/a b"));
        let mut stream = std::io::Cursor::new(b"99\nshort".to_vec());
        let file = RemoteFile { path: "a".to_owned(), sha256: String::new() };
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(receive(&mut stream, &file, folder.path()), Err(ShellError::Nonsense(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn uploads_are_checked_on_both_sides() {
        let (remote, local) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shell = machine(remote.path());
        let from = local.path().join("data.txt");
        fs::write(&from, "data").unwrap();
        let planned = upload(&from, "in/data set.txt").unwrap();
        assert_eq!(push(&shell, std::slice::from_ref(&planned)).unwrap(), 4);
        assert_eq!(fs::read_to_string(remote.path().join(WORK_DIR).join("in/data set.txt")).unwrap(), "data");
        assert_eq!(push(&shell, std::slice::from_ref(&planned)).unwrap(), 0, "it is there already");
        fs::write(&from, "other").unwrap();
        fs::remove_file(remote.path().join(WORK_DIR).join("in/data set.txt")).unwrap();
        assert!(push(&shell, &[planned]).unwrap_err().to_string().contains("data.txt"));
    }
}

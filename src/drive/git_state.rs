//! The Git state of a project at the submission. Never a reason to refuse a run: without an answer of `git`, nothing is
//! recorded.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use stepwell_base::artifact::Digest;
use stepwell_run::project::{GitState, Uncommitted};

/// Time for all answers of `git`: a submission must not wait for a huge or remote repository.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum bytes of one answer.
const LONGEST: u64 = 1 << 20;

/// The state of a folder, and the changes that are not committed, as `git diff` prints them.
pub struct Found {
    pub state: GitState,
    pub diff: Option<Vec<u8>>,
}

/// Asks `git` about a folder. Changes below `ignored`, the state directory, do not count.
pub fn git_state(folder: &Path, ignored: &Path) -> Option<Found> {
    git_state_with(OsString::from("git"), folder, ignored, PATIENCE)
}

fn git_state_with(program: OsString, folder: &Path, ignored: &Path, patience: Duration) -> Option<Found> {
    if !folder.ancestors().any(|above| above.join(".git").exists()) {
        return None;
    }
    let git = Git { program, folder, until: Instant::now() + patience, paths: paths(folder, ignored) };
    let status = git.ask(&["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal"])?;
    let Status { commit, branch, tracked, untracked } = read_status(&status)?;
    let diff =
        if tracked > 0 { git.ask(&["diff", "--no-color", "--no-ext-diff", "--no-textconv", &commit]) } else { None };
    let files = tracked + untracked;
    let digest = diff.as_deref().map(Digest::of);
    let uncommitted = (files > 0).then_some(Uncommitted { files, diff: digest });
    Some(Found { state: GitState { commit, branch, uncommitted }, diff })
}

/// Limits an answer to the folder, without the state directory if that is in it.
fn paths(folder: &Path, ignored: &Path) -> Vec<OsString> {
    let mut paths = vec![OsString::from("--"), OsString::from(".")];
    let ignored = std::path::absolute(ignored).unwrap_or_else(|_| ignored.to_owned());
    if let Ok(below) = ignored.strip_prefix(folder) {
        let mut exclude = OsString::from(":(exclude,literal)");
        exclude.push(below);
        paths.push(exclude);
    }
    paths
}

struct Git<'a> {
    program: OsString,
    folder: &'a Path,
    until: Instant,
    paths: Vec<OsString>,
}

impl Git<'_> {
    /// Standard output of one command; `None` if it fails, takes too long or says too much.
    fn ask(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let mut command = Command::new(&self.program);
        // The monitor is a program that the repository names.
        command.arg("-C").arg(self.folder).args(["-c", "core.fsmonitor=false"]).args(arguments).args(&self.paths);
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let answer = self.read(&mut child);
        if answer.is_none() {
            let _ = child.kill();
        }
        let status = child.wait().ok()?;
        answer.filter(|_| status.success())
    }

    fn read(&self, child: &mut Child) -> Option<Vec<u8>> {
        let output = child.stdout.take()?;
        let (sender, receiver) = sync_channel(1);
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.take(LONGEST + 1).read_to_end(&mut bytes);
            // Nobody listens once the time is over.
            let _ = sender.send(read.ok().map(|_| bytes));
        });
        let left = self.until.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(bytes) => bytes.filter(|bytes| bytes.len() as u64 <= LONGEST),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Status {
    commit: String,
    branch: Option<String>,
    tracked: u64,
    untracked: u64,
}

/// Reads `git status --porcelain=v2 --branch -z`; `None` before the first commit.
fn read_status(answer: &[u8]) -> Option<Status> {
    let text = String::from_utf8_lossy(answer);
    let (mut commit, mut branch, mut tracked, mut untracked) = (None, None, 0, 0);
    let mut entries = text.split('\0');
    while let Some(entry) = entries.next() {
        match entry.split_once(' ') {
            Some(("#", header)) => match header.split_once(' ') {
                Some(("branch.oid", id)) if id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    commit = Some(id.to_owned())
                }
                Some(("branch.head", name)) if name != "(detached)" => branch = Some(name.to_owned()),
                _ => {}
            },
            Some(("2", _)) => {
                tracked += 1;
                // The earlier name of a renamed file follows.
                entries.next();
            }
            Some(("1" | "u", _)) => tracked += 1,
            Some(("?", _)) => untracked += 1,
            _ => {}
        }
    }
    Some(Status { commit: commit?, branch, tracked, untracked })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) -> bool {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    #[test]
    fn the_answer_of_git_is_read() {
        let id = "a".repeat(40);
        let text = format!(
            "# branch.oid {id}\0# branch.head main\0# branch.ab +1 -0\01 .M N... 100644 100644 100644 x y a b.py\0\
             2 R. N... 100644 100644 100644 x y R100 new\0old\0? ? odd\0? out/\0"
        );
        let status = read_status(text.as_bytes()).unwrap();
        assert_eq!(status, Status { commit: id, branch: Some("main".to_owned()), tracked: 2, untracked: 2 });
        assert_eq!(read_status(b"# branch.oid (initial)\0# branch.head main\0"), None);
    }

    #[test]
    fn a_commit_and_what_is_not_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        if !git(folder, &["init", "-q"]) {
            return; // There is no git.
        }
        fs::write(folder.join("train.py"), "one\n").unwrap();
        let state = folder.join("state");
        assert!(git_state(folder, &state).is_none(), "there is no commit yet");
        assert!(git(folder, &["add", "."]) && git(folder, &["commit", "-q", "-m", "first"]));
        fs::create_dir(&state).unwrap();
        fs::write(state.join("db"), "").unwrap();
        let clean = git_state(folder, &state).unwrap();
        assert_eq!((clean.state.uncommitted, clean.diff), (None, None), "the state directory does not count");
        assert_eq!(clean.state.commit.len(), 40);
        fs::write(folder.join("new.py"), "").unwrap();
        let untracked = git_state(folder, &state).unwrap().state.uncommitted.unwrap();
        assert_eq!(untracked, Uncommitted { files: 1, diff: None });
        fs::write(folder.join("train.py"), "two\n").unwrap();
        let Found { state: changed, diff } = git_state(folder, &state).unwrap();
        let diff = diff.unwrap();
        assert!(String::from_utf8_lossy(&diff).contains("+two"));
        assert_eq!(changed.uncommitted.unwrap(), Uncommitted { files: 2, diff: Some(Digest::of(&diff)) });
    }

    #[test]
    fn a_git_that_hangs_or_is_missing_costs_little() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        let hangs = dir.path().join("hangs");
        fs::write(&hangs, "#!/bin/sh\nexec sleep 100\n").unwrap();
        fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).unwrap();
        let start = Instant::now();
        let ask = |program: &Path| git_state_with(program.into(), dir.path(), dir.path(), Duration::from_millis(100));
        assert!(ask(&hangs).is_none() && ask(Path::new("/no/such/git")).is_none());
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

//! A separate state directory for each test, and the binary under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub struct Sandbox {
    pub dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary in the sandbox's folder, without the settings of the user who runs the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepwell"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STEPWELL_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", self.path("no-config")).env("NO_COLOR", "1");
        // Many tests kill engines in quick succession.
        command.env("STEPWELL_CRASH_LOOP_LIMIT", "0");
        command
    }

    pub fn stepwell(&self, args: &[&str]) -> Finished {
        Finished::from(self.command(args).output().unwrap())
    }

    /// Starts the binary with its output discarded.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub fn show(&self) -> Value {
        self.stepwell(&["show", "last", "--output", "json"]).ok().json()
    }

    /// Digests of all outputs, by `step/name`.
    pub fn digests(&self) -> Vec<(String, String)> {
        let mut digests = Vec::new();
        for step in self.show()["steps"].as_array().unwrap() {
            for (name, output) in step["outputs"].as_object().unwrap() {
                let label = format!("{}/{name}", step["id"].as_str().unwrap());
                digests.push((label, output["digest"].as_str().unwrap().to_owned()));
            }
        }
        digests
    }

    /// Number of rows of a table; 0 without a database.
    pub fn query_count(&self, table: &str) -> u64 {
        let path = self.state().join("stepwell.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let count = rusqlite::Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
        });
        count.unwrap_or(0).unsigned_abs()
    }

    /// Runs a query against the state database, like the `sqlite3` shell.
    pub fn query(&self, sql: &str) -> Vec<String> {
        let path = self.state().join("stepwell.db");
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        rows.map(|value| match value.unwrap() {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Real(number) => number.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
    }
}

/// Kills all processes below the sandbox, so a failing test leaves no engine, worker or program behind.
#[cfg(target_os = "linux")]
impl Drop for Sandbox {
    fn drop(&mut self) {
        for _ in 0..500 {
            let left = processes_in(self.dir.path());
            if left.is_empty() {
                return;
            }
            let left = left.iter().map(u32::to_string);
            let _ = Command::new("kill").arg("-KILL").args(left).stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Live processes whose working directory is below `folder`.
#[cfg(target_os = "linux")]
pub fn processes_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().unwrap();
    let works_there = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path().join("cwd")).is_ok_and(|directory| directory.starts_with(&folder))
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(works_there);
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_failing_test_leaves_no_process() {
    let sandbox = Sandbox::new();
    let step = "[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"touch started; sleep 600\"\n";
    sandbox.write("w.toml", format!("name = \"w\"\n{step}"));
    // For a removed folder, the kernel still reports the old name.
    let around = sandbox.dir.path().parent().unwrap().canonicalize().unwrap();
    let inside = around.join(sandbox.dir.path().file_name().unwrap());
    let mut engine = sandbox.start(&["run", "w.toml"]);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        eventually("its program runs", || processes_in(sandbox.dir.path()).len() > 2);
        panic!("as a failing test does");
    }));
    assert!(failed.is_err());
    assert_eq!(engine.wait().unwrap().code(), None, "it was killed");
    let left = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let directory = std::fs::read_link(entry.path().join("cwd")).ok()?;
        directory.to_string_lossy().starts_with(&*inside.to_string_lossy()).then(|| entry.file_name())
    });
    assert_eq!(left.collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
}

pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error contains each of the words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in:\n{}", self.stderr);
        }
        self
    }

    /// Standard output as JSON: one document, or the last line of a stream.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = self.stdout.trim();
        serde_json::from_str(text)
            .or_else(|_| serde_json::from_str(text.lines().last().unwrap_or_default()))
            .unwrap_or_else(|error| panic!("{error} in:\n{text}"))
    }
}

#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a process a signal, given by number or name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Ids of live processes whose environment holds `mark`.
#[cfg(target_os = "linux")]
pub fn processes_with(mark: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(mark) {
            found.push(pid);
        }
    }
    found
}

/// Kills an engine and its workers at once, so that no worker can kill the processes of its program.
#[cfg(target_os = "linux")]
pub fn kill_with_workers(engine: &mut Child) {
    signal(engine.id(), "STOP");
    for worker in children(engine.id()) {
        signal(worker, "KILL");
    }
    engine.kill().unwrap();
    engine.wait().unwrap();
}

/// Direct children of a process.
#[cfg(target_os = "linux")]
pub fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(pid) {
            found.push(child);
        }
    }
    found
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A control group with a limit of memory.
#[cfg(target_os = "linux")]
pub struct MemoryGroup {
    folder: PathBuf,
}

#[cfg(target_os = "linux")]
impl MemoryGroup {
    /// `None` if this user may not create one.
    pub fn of_mib(limit: u64) -> Option<MemoryGroup> {
        let groups = read(Path::new("/proc/self/cgroup"));
        let own = |line: &str| Some(line.split_once(":memory:/")?.1.to_owned());
        let folder = match groups.lines().find_map(own) {
            Some(path) => Path::new("/sys/fs/cgroup/memory").join(path),
            None => PathBuf::from("/sys/fs/cgroup"),
        };
        let folder = folder.join(format!("stepwell-test-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).ok()?;
        let group = MemoryGroup { folder };
        let limits = ["memory.limit_in_bytes", "memory.max"].map(|name| group.folder.join(name));
        let file = limits.iter().find(|path| path.exists())?;
        std::fs::write(file, (limit << 20).to_string()).ok()?;
        Some(group)
    }

    /// The file that takes the ids of processes.
    pub fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

#[cfg(target_os = "linux")]
impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.folder);
    }
}

//! A real disk that fills up, and one that turns read-only. The mounts need root; without it, the tests print a
//! message and are skipped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::harness::{Sandbox, eventually, processes_with, signal};

/// A small file system, unmounted on drop.
struct Mount {
    at: PathBuf,
}

impl Mount {
    fn tmpfs(at: &Path, size: &str) -> Option<Mount> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// An ext4 file system in a file, which can turn read-only as after a disk error.
struct Ext4 {
    mount: Mount,
    device: String,
}

impl Ext4 {
    fn new(image: &Path, at: &Path) -> Option<Ext4> {
        fs::create_dir_all(at).unwrap();
        fs::File::create(image).unwrap().set_len(64 * MIB as u64).unwrap();
        let made = Command::new("mkfs.ext4").arg("-q").arg(image).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("skipped: mkfs.ext4 is not installed");
            return None;
        }
        Ext4::mount(image, at)
    }

    fn mount(image: &Path, at: &Path) -> Option<Ext4> {
        let mount = mount(&["-o", "loop,errors=remount-ro", image.to_str().unwrap()], at)?;
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == at.to_str()).unwrap();
        let device = line.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned();
        Some(Ext4 { mount, device })
    }

    fn turn_read_only(&self) {
        fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", self.device), "1").unwrap();
    }
}

/// Returns `None` and prints a message when mounting is not allowed.
fn mount(arguments: &[&str], at: &Path) -> Option<Mount> {
    let done = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
    if done.is_ok_and(|status| status.success()) {
        return Some(Mount { at: at.to_owned() });
    }
    println!("skipped: mounting a file system needs root");
    None
}

const MIB: usize = 1 << 20;

/// Writes a checkpoint of 6 MiB, then its output. The ledger records the checkpoint from which each attempt resumed.
const WORKFLOW: &str = r#"
name = "large"
[[step]]
id = "a"
kind = "command"
[step.with]
outputs = { out = "out" }
shell = """
cat "$STEPWELL_CHECKPOINT_DIR/last/n" >> LEDGER 2>/dev/null || echo none >> LEDGER
if [ ! -e "$STEPWELL_CHECKPOINT_DIR/last" ]; then
  mkdir "$STEPWELL_CHECKPOINT_DIR/next"
  echo one > "$STEPWELL_CHECKPOINT_DIR/next/n"
  head -c 6291456 /dev/urandom > "$STEPWELL_CHECKPOINT_DIR/next/zeta"
  touch "$STEPWELL_CHECKPOINT_DIR/next.ready"
  while [ -e "$STEPWELL_CHECKPOINT_DIR/next.ready" ]; do sleep 0.02; done
fi
echo done > "$STEPWELL_OUTPUT_DIR/out"
"""
"#;

/// A run on a disk of 24 MiB without room for the checkpoint.
struct Full {
    sandbox: Sandbox,
    filler: PathBuf,
    _disk: Mount,
}

impl Full {
    fn new() -> Option<Full> {
        let sandbox = Sandbox::new();
        let disk = Mount::tmpfs(&sandbox.state(), "24m")?;
        sandbox.write("large.toml", WORKFLOW.replace("LEDGER", sandbox.path("ledger").to_str().unwrap()));
        let filler = sandbox.state().join("filler");
        fs::write(&filler, vec![1; 9 * MIB]).unwrap();
        Some(Full { sandbox, filler, _disk: disk })
    }

    /// Starts a verb and waits until it says that it waits.
    fn start_and_wait(&self, args: &[&str]) -> Child {
        let mut engine = self.sandbox.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(engine.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting until") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the engine ended without waiting");
        }
        // Keep reading, so that the pipe neither closes nor fills.
        thread::spawn(move || said.lines().map_while(Result::ok).count());
        engine
    }

    fn assert_waiting(&self) {
        let show = self.sandbox.show();
        assert_eq!(show["run"]["status"], "interrupted");
        let mark = format!("STEPWELL_ATTEMPT_ID={}/", show["run"]["id"].as_str().unwrap());
        eventually("no attempt is left", || processes_with(&mark).is_empty());
        let reason =
            self.sandbox.query("SELECT payload FROM event WHERE kind = 'run_interrupted' ORDER BY seq DESC LIMIT 1");
        assert!(reason[0].contains("the disk is full"), "{reason:?}");
        let files = |folder: &str| {
            let entries =
                walkdir::WalkDir::new(self.sandbox.state().join("artifacts").join(folder)).into_iter().flatten();
            entries.filter(|entry| entry.file_type().is_file()).count()
        };
        assert_eq!(files("blobs"), 0, "a checkpoint that does not fit is not begun");
        assert_eq!(files("tmp"), 0);
    }

    fn assert_succeeded(&self) {
        assert_eq!(self.sandbox.show()["run"]["status"], "succeeded");
        assert_eq!(self.sandbox.query("SELECT retries_used FROM step"), ["0"], "a full disk is no failure of the step");
        self.sandbox.stepwell(&["db", "check"]).ok();
        self.sandbox.stepwell(&["artifact", "verify"]).ok();
    }
}

#[test]
fn a_run_waits_for_space_and_goes_on_by_itself() {
    let Some(full) = Full::new() else { return };
    let mut engine = full.start_and_wait(&["run", "large.toml"]);
    full.assert_waiting();
    assert!(engine.try_wait().unwrap().is_none());
    fs::remove_file(&full.filler).unwrap();
    assert!(engine.wait().unwrap().success());
    full.assert_succeeded();
}

#[test]
fn a_worker_that_waits_for_space_can_be_interrupted_and_resumed() {
    let Some(full) = Full::new() else { return };
    full.sandbox.stepwell(&["run", "large.toml", "--detach"]).ok();
    let mut engine = full.start_and_wait(&["worker"]);
    full.assert_waiting();
    signal(engine.id(), "INT");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    fs::remove_file(&full.filler).unwrap();
    full.sandbox.stepwell(&["resume", "last"]).ok();
    full.assert_succeeded();
}

#[test]
fn a_run_that_waits_for_space_can_be_canceled() {
    let Some(full) = Full::new() else { return };
    let mut engine = full.start_and_wait(&["run", "large.toml"]);
    full.assert_waiting();
    full.sandbox.stepwell(&["cancel", "last"]).ok();
    assert_eq!(engine.wait().unwrap().code(), Some(5));
    full.sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_database_without_space_is_waited_for() {
    let Some(full) = Full::new() else { return };
    // Leaves only the space that the first commits take.
    let free = rustix::fs::statvfs(full.sandbox.state()).unwrap();
    let left = usize::try_from(free.f_bavail * free.f_frsize).unwrap();
    fs::write(full.sandbox.state().join("more"), vec![1; left - MIB]).unwrap();
    let mut engine = full.start_and_wait(&["run", "large.toml"]);
    fs::remove_file(&full.filler).unwrap();
    fs::remove_file(full.sandbox.state().join("more")).unwrap();
    assert!(engine.wait().unwrap().success());
    full.assert_succeeded();
}

/// Counts with a checkpoint at every number until the file `enough` exists.
const COUNTER: &str = r#"
name = "counter"
[[step]]
id = "count"
kind = "command"
[step.with]
cwd = "."
shell = """
n=$(cat "$STEPWELL_CHECKPOINT_DIR/last/n" 2>/dev/null || echo 0)
while [ ! -e enough ]; do
  n=$((n + 1))
  mkdir -p "$STEPWELL_CHECKPOINT_DIR/next" && echo $n > "$STEPWELL_CHECKPOINT_DIR/next/n"
  touch "$STEPWELL_CHECKPOINT_DIR/next.ready"
  while [ -e "$STEPWELL_CHECKPOINT_DIR/next.ready" ]; do sleep 0.01; done
  echo "acknowledged $n" >> acknowledged
done
"""
"#;

#[test]
fn a_disk_that_turns_read_only_ends_the_run_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let (image, at) = (sandbox.path("image"), sandbox.state());
    let Some(disk) = Ext4::new(&image, &at) else { return };
    sandbox.write("counter.toml", COUNTER);
    let engine =
        sandbox.command(&["run", "counter.toml"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let acknowledged = || fs::read_to_string(sandbox.path("acknowledged")).unwrap_or_default();
    eventually("some checkpoints", || acknowledged().lines().count() > 3);
    let mark = format!("STEPWELL_ATTEMPT_ID={}/", sandbox.show()["run"]["id"].as_str().unwrap());
    disk.turn_read_only();
    let ended = engine.wait_with_output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("read-only") && said.contains("hint:"), "{said}");
    eventually("no process is left", || processes_with(&mark).is_empty());
    // The disk is still read-only: the next start reports it and changes nothing.
    sandbox.stepwell(&["resume", "last"]).exits(1).says(&["read-only", "hint:"]);
    drop(disk.mount);
    let _disk = Ext4::mount(&image, &at).unwrap();
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["artifact", "verify"]).ok();
    sandbox.write("enough", "");
    let counted: u64 = acknowledged().lines().last().unwrap().split_once(' ').unwrap().1.parse().unwrap();
    let committed = sandbox.query("SELECT count(*) FROM event WHERE kind = 'checkpoint_committed'");
    assert!(committed[0].parse::<u64>().unwrap() >= counted, "{committed:?} of {counted}");
    sandbox.stepwell(&["resume", "last"]).ok();
}

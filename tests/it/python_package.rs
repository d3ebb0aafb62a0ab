//! The package in `python/`: its own tests, and scripts that use it as steps.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Finished, Sandbox, eventually};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn has_python() -> bool {
    let new_enough = "import sys; sys.exit(sys.version_info < (3, 9))";
    let found = Command::new("python3").args(["-c", new_enough]).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: needs python3, 3.9 or newer");
    }
    found
}

/// A sandbox whose programs find the package.
struct Project {
    sandbox: Sandbox,
}

impl Project {
    fn new(script: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("script.py", script);
        sandbox.write(
            "w.toml",
            "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = 1\n\
             with = { argv = [\"python3\", \"script.py\"] }\n",
        );
        Project { sandbox }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(args);
        command.env("PYTHONPATH", repository().join("python/src")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn stepwell(&self, args: &[&str]) -> Finished {
        Finished::from(self.command(args).output().unwrap())
    }

    fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Steps and losses of the newest run.
    fn curve(&self) -> Vec<String> {
        let csv = self.stepwell(&["metrics", "last", "--csv"]).ok().stdout;
        csv.lines().map(|line| line.splitn(4, ',').last().unwrap_or_default().to_owned()).collect()
    }
}

#[test]
fn the_tests_of_the_package_pass() {
    if !has_python() {
        return;
    }
    let mut command = Command::new("python3");
    command.args(["-W", "error", "-W", "ignore::ResourceWarning", "-m", "unittest", "discover", "-s", "tests"]);
    let output = command.current_dir(repository().join("python")).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("\nOK"), "{said}");
}

#[test]
fn the_package_has_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("python/pyproject.toml", format!("\nversion = \"{version}\"\n")),
        ("python/src/stepwell/__init__.py", format!("\n__version__ = \"{version}\"\n")),
    ] {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains(&line), "{file}: expected {line}");
    }
}

/// The example of the README, killed in the middle.
#[test]
fn the_example_resumes_from_its_checkpoints() {
    if !has_python() {
        return;
    }
    let project = Project::new("");
    for name in ["train.toml", "train.py"] {
        let text = std::fs::read(repository().join("examples").join(name)).unwrap();
        project.sandbox.write(&format!("examples/{name}"), text);
    }
    let run = ["run", "examples/train.toml", "-S", "seeds=[1, 2]", "-S", "steps=150"];
    let mut engine = project.start(&run);
    eventually("three checkpoints", || project.sandbox.query_count("checkpoint") >= 3);
    engine.kill().unwrap();
    engine.wait().unwrap();
    project.stepwell(&["resume"]).ok();
    let (digests, curve) = (project.sandbox.digests(), project.curve());
    let logs = project.stepwell(&["logs", "last"]).ok().stdout;
    assert!(logs.contains("resumed at step "), "{logs}");
    project.stepwell(&[&run[..], &["--no-reuse"]].concat()).ok();
    assert_eq!(project.sandbox.digests(), digests, "the interruption changes nothing");
    assert_eq!((project.curve(), curve.len()), (curve, 301));
    // By hand, outside of Stepwell.
    let alone = Command::new("python3")
        .args(["train.py", "--steps", "25"])
        .current_dir(project.sandbox.path("examples"))
        .env("PYTHONPATH", repository().join("python/src"))
        .output()
        .unwrap();
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
}

const COUNT: &str = "import itertools, time, stepwell
state = {'n': 0}
first = stepwell.checkpoint.restore(state)
print('starts at', first, flush=True)
for state['n'] in range(state['n'] + 1, 1001):
    time.sleep(0.01)
    stepwell.metrics(state['n'], n=state['n'])
    if stepwell.stop_requested():
        stepwell.checkpoint.save(state['n'], state)
    if first and state['n'] > first + 3:
        break
";

#[test]
fn a_script_that_is_asked_to_stop_saves_where_it_is() {
    if !has_python() {
        return;
    }
    let project = Project::new(COUNT);
    let mut engine = project.start(&["run", "w.toml"]);
    eventually("metrics", || project.sandbox.query_count("metric") > 5);
    let asked = Instant::now();
    kill_process(Pid::from_raw(engine.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    let saved = project.sandbox.query("SELECT last_step FROM checkpoint").concat();
    project.stepwell(&["resume"]).ok();
    let logs = project.stepwell(&["logs", "last"]).ok().stdout;
    assert!(saved != "0" && logs.contains(&format!("starts at {saved}")), "{saved}: {logs}");
    let last: u64 = saved.parse().unwrap();
    let steps: Vec<String> = (1..=last + 4).map(|step| format!("{step},{step}")).collect();
    assert_eq!(project.curve()[1..], steps);
}

#[test]
fn a_checkpoint_that_a_script_waits_for_while_it_stops_is_taken_at_once() {
    if !has_python() {
        return;
    }
    // The protocol by hand: a handler of its own, and a wait until the marker is gone.
    let project = Project::new(
        "import os, pathlib, signal, time
box = pathlib.Path(os.environ['STEPWELL_CHECKPOINT_DIR'])
def save(*_):
    (box / 'next').mkdir()
    (box / 'next.ready').write_text('{\"last_step\": 7}')
    while (box / 'next.ready').exists():
        time.sleep(0.01)
    os._exit(1)
signal.signal(signal.SIGTERM, save)
pathlib.Path(os.environ['STEPWELL_METRICS']).write_text('{\"step\": 1, \"a\": 1}\\n')
time.sleep(60)
",
    );
    let mut engine = project.start(&["run", "w.toml"]);
    eventually("metrics", || project.sandbox.query_count("metric") > 0);
    let asked = Instant::now();
    kill_process(Pid::from_raw(engine.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    engine.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    assert_eq!(project.sandbox.query("SELECT last_step FROM checkpoint"), ["7"]);
}

//! The engine as a process that is killed, stopped, canceled or frozen. Steps are plain commands.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, ReleaseCause, RunEvent, StepEvent, StepEventKind};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{Reader, StepRow, attempt_log};
use tempfile::TempDir;

/// Limit for each wait, generous for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Lab {
    folder: TempDir,
}

impl Lab {
    fn new(workflow: &str) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("w.toml"), workflow).unwrap();
        Lab { folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&self, verb: &[&str]) -> Engine {
        let child = Command::new(env!("CARGO_BIN_EXE_stepwell"))
            .args(verb)
            .arg("--state-dir")
            .arg(self.state())
            .current_dir(self.folder.path())
            .env("STEPWELL_CRASH_LOOP_LIMIT", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Engine { child }
    }

    fn start(&self) -> Engine {
        self.spawn(&["run", "w.toml"])
    }

    fn resume(&self) -> Engine {
        self.spawn(&["resume", "last"])
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.state()).unwrap()
    }

    fn run(&self) -> RunId {
        self.reader().resolve_run("last").unwrap()
    }

    fn stored_status(&self) -> RunStatus {
        self.reader().run(self.run()).unwrap().stored_status
    }

    fn steps(&self) -> BTreeMap<String, StepRow> {
        let rows = self.reader().steps(self.run()).unwrap();
        rows.into_iter().map(|row| (row.id.as_str().to_owned(), row)).collect()
    }

    fn step(&self, id: &str) -> StepRow {
        self.steps().remove(id).unwrap()
    }

    fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        let events = self.reader().events(Some(self.run()), 0).unwrap();
        events.iter().filter(|row| matches(&row.event)).count()
    }

    fn artifacts(&self) -> BTreeMap<String, BTreeMap<String, ArtifactRef>> {
        let outputs = |row: StepRow| row.outputs.map(|outputs| outputs.artifacts).unwrap_or_default();
        self.steps().into_iter().map(|(id, row)| (id, outputs(row))).collect()
    }

    fn wait_until(&self, what: &str, condition: impl Fn(&Lab) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !(Reader::open(&self.state()).is_ok_and(|r| r.resolve_run("last").is_ok()) && condition(self)) {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            sleep(Duration::from_millis(10));
        }
    }

    /// Processes of any attempt of the newest run, found by their environment.
    #[cfg(target_os = "linux")]
    fn processes(&self) -> Vec<u32> {
        let Ok(run) = self.reader().resolve_run("last") else { return Vec::new() };
        let mark = format!("STEPWELL_ATTEMPT_ID={run}/");
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|b| *b == 0).any(|e| e.starts_with(mark.as_bytes())))
        })
        .collect()
    }

    #[cfg(not(target_os = "linux"))]
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    /// The worker of the step's running attempt.
    fn worker(&self, id: &str) -> Pid {
        self.wait_until("the worker is known", |lab| lab.step(id).process.is_some());
        pid(self.step(id).process.unwrap().pid)
    }

    fn wait_for_no_processes(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "orphans after the engine's death: {:?}", self.processes());
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.state().join("stepwell.db").exists() {
            for process in self.processes() {
                let _ = kill_process(pid(process), Signal::KILL);
            }
        }
    }
}

fn pid(raw: u32) -> Pid {
    Pid::from_raw(i32::try_from(raw).unwrap()).unwrap()
}

/// An engine in a separate process, killed when the test ends.
struct Engine {
    child: Child,
}

impl Engine {
    fn signal(&self, signal: Signal) {
        kill_process(pid(self.child.id()), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the engine does not end");
            sleep(Duration::from_millis(5));
        }
        self.child.wait().unwrap()
    }

    fn exit_code(mut self) -> i32 {
        self.wait().code().unwrap_or(-1)
    }

    fn ends_well(mut self) {
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.stderr());
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
        }
        text
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Counts with a checkpoint at every third number; a second step uses the result.
fn counter(count: u32) -> String {
    format!(
        r#"
name = "counter"

[[step]]
id = "count"
kind = "command"
retry = {{ initial_interval = "10ms", maximum_attempts = 10 }}
[step.with]
outputs = {{ numbers = "numbers" }}
shell = """
sleep 600 &
mkdir -p now; rm -f now/*
cp "$STEPWELL_CHECKPOINT_DIR"/last/* now/ 2>/dev/null
n=$(cat now/n 2>/dev/null || echo 0); echo "from $n"
while [ $n -lt {count} ]; do
  n=$((n+1)); echo $n > now/n; echo "line $n" >> now/numbers; sleep 0.02
  if [ $((n % 3)) = 0 ]; then
    cp -r now "$STEPWELL_CHECKPOINT_DIR/next"
    echo '{{"last_step": '$n'}}' > "$STEPWELL_CHECKPOINT_DIR/marker"
    mv "$STEPWELL_CHECKPOINT_DIR/marker" "$STEPWELL_CHECKPOINT_DIR/next.ready"
    while [ -e "$STEPWELL_CHECKPOINT_DIR/next.ready" ]; do sleep 0.01; done
  fi
done
cp now/numbers "$STEPWELL_OUTPUT_DIR/numbers"
"""

[[step]]
id = "use"
kind = "command"
[step.with]
outputs = {{ digest = "digest" }}
shell = "echo '{{{{ steps.count.outputs.numbers.digest }}}}' > $STEPWELL_OUTPUT_DIR/digest"
"#
    )
}

#[test]
fn killed_again_and_again_the_outputs_are_the_same() {
    let undisturbed = Lab::new(&counter(36));
    undisturbed.start().ends_well();
    let expected = undisturbed.artifacts();
    assert_eq!(undisturbed.step("count").last_step, Some(36));

    let lab = Lab::new(&counter(36));
    let mut engine = lab.start();
    lab.wait_until("the first checkpoint", |lab| lab.step("count").last_step.is_some());
    for (round, pause) in [40, 170, 90, 260, 120, 310].into_iter().enumerate() {
        if lab.stored_status() != RunStatus::Running {
            break;
        }
        sleep(Duration::from_millis(pause));
        let worker = lab.step("count").process.map(|process| pid(process.pid));
        match round % 3 {
            // Only the engine.
            0 => engine.signal(Signal::KILL),
            // Only the worker: the engine starts the step again.
            1 => {
                worker.map(|worker| kill_process(worker, Signal::KILL));
                continue;
            }
            // Both, with all their processes.
            _ => {
                engine.signal(Signal::KILL);
                worker.map(|worker| kill_process_group(worker, Signal::KILL));
                for process in lab.processes() {
                    let _ = kill_process(pid(process), Signal::KILL);
                }
            }
        }
        engine.wait();
        lab.wait_for_no_processes();
        let attempts = lab.step("count").attempts;
        engine = lab.resume();
        lab.wait_until("the run continues", |lab| {
            lab.step("count").attempts > attempts || lab.step("count").status == StepStatus::Succeeded
        });
    }
    engine.ends_well();
    assert_eq!(lab.artifacts(), expected);
    assert_eq!(
        lab.count(|event| matches!(event.step_kind(), Some(StepEventKind::Succeeded { .. }))),
        2,
        "committed once each"
    );
    assert!(lab.step("count").attempts >= 3);
    let released = |event: &Event| {
        matches!(
            event,
            Event::Step(StepEvent {
                kind: StepEventKind::AttemptReleased { cause: Some(ReleaseCause::EngineDied), .. },
                ..
            })
        )
    };
    assert!(lab.count(released) >= 1, "recovery must not wait for leases to run out");
    assert_eq!(lab.processes(), Vec::<u32>::new());
    assert!(!lab.state().join("runs").join(lab.run().to_string()).join("count/scratch").exists());
}

#[test]
fn a_frozen_worker_is_fenced_off_and_replaced() {
    let lab = Lab::new(
        r#"
name = "frozen"
[[step]]
id = "a"
kind = "command"
timeout = { heartbeat = "2s" }
retry = { initial_interval = "1ms" }
[step.with]
shell = "if [ $STEPWELL_ATTEMPT = 1 ]; then sleep 600; fi; echo $STEPWELL_ATTEMPT > $STEPWELL_OUTPUT_DIR/n"
outputs = { n = "n" }
"#,
    );
    let engine = lab.start();
    kill_process_group(lab.worker("a"), Signal::STOP).unwrap();
    engine.ends_well();
    let step = lab.step("a");
    assert_eq!((step.status, step.fence.0, step.retries_used), (StepStatus::Succeeded, 2, 1));
    let lost = |event: &Event| matches!(event.step_kind(), Some(StepEventKind::AttemptFailed { failure }) if failure.kind.as_str() == "lease_lost");
    assert_eq!(lab.count(lost), 1);
    assert_eq!(lab.processes(), Vec::<u32>::new(), "the frozen attempt is still there");
}

#[test]
fn cancel_ends_every_process_of_the_run() {
    // One grandchild ignores SIGTERM, another leaves the process group.
    let lab = Lab::new(
        r#"
name = "cancel"
[[step]]
id = "a"
kind = "command"
[step.with]
cwd = "."
shell = """
(trap '' TERM; while true; do sleep 1; done) &
setsid sh -c 'touch away; sleep 600' &
wait
"""
[[step]]
id = "b"
kind = "noop"
needs = ["a"]
"#,
    );
    let engine = lab.start();
    lab.worker("a");
    if cfg!(target_os = "linux") {
        lab.wait_until("one has left", |lab| lab.path("away").exists());
    }
    lab.spawn(&["cancel", "last"]).ends_well();
    assert_eq!(lab.stored_status(), RunStatus::Canceled);
    assert_eq!(lab.processes(), Vec::<u32>::new());
    assert_eq!(engine.exit_code(), 5);
    assert!(lab.steps().values().all(|row| row.status == StepStatus::Canceled));
}

#[test]
fn cancel_works_without_an_engine() {
    let lab = Lab::new("name = \"c\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.argv = [\"sleep\", \"600\"]\n");
    let mut engine = lab.start();
    lab.worker("a");
    engine.signal(Signal::KILL);
    engine.wait();
    lab.spawn(&["cancel", "last"]).ends_well();
    assert_eq!(lab.stored_status(), RunStatus::Canceled);
    assert_eq!(lab.processes(), Vec::<u32>::new());
}

#[test]
fn a_signal_interrupts_and_resume_goes_on() {
    let lab = Lab::new(&counter(60));
    let engine = lab.start();
    lab.wait_until("the first checkpoint", |lab| lab.step("count").last_step.is_some());
    engine.signal(Signal::TERM);
    assert_eq!(engine.exit_code(), 130);
    assert_eq!(lab.stored_status(), RunStatus::Interrupted);
    assert_eq!(lab.step("count").status, StepStatus::Ready);
    assert_eq!(lab.processes(), Vec::<u32>::new());
    let reached = lab.step("count").last_step.unwrap();
    lab.resume().ends_well();
    let log = attempt_log(&lab.state(), lab.run(), &StepId::from("count"), 2);
    assert_eq!(fs::read_to_string(log).unwrap(), format!("from {reached}\n"), "work was repeated or lost");
    assert_eq!(lab.step("count").retries_used, 0, "an interrupt is no failure");
    assert_eq!(lab.count(|event| matches!(event, Event::Run(RunEvent::Resumed))), 1);
}

#[test]
fn a_second_signal_kills_at_once() {
    let lab = Lab::new(
        r#"
name = "c"
[[step]]
id = "a"
kind = "command"
with.shell = "trap '' TERM; while true; do sleep 1; done"
"#,
    );
    let engine = lab.start();
    lab.worker("a");
    engine.signal(Signal::INT);
    sleep(Duration::from_millis(300));
    let asked = Instant::now();
    engine.signal(Signal::INT);
    assert_eq!(engine.exit_code(), 130);
    assert!(asked.elapsed() < Duration::from_secs(6), "took {:?}", asked.elapsed());
    assert_eq!(lab.stored_status(), RunStatus::Interrupted);
    assert_eq!(lab.processes(), Vec::<u32>::new());
}

#[test]
fn a_poison_step_stops_and_shows_its_last_log() {
    let lab = Lab::new(
        r#"
name = "poison"
[[step]]
id = "a"
kind = "command"
retry = { initial_interval = "1ms", maximum_attempts = 2 }
with.shell = "echo out of cheese; exit 7"
[[step]]
id = "b"
kind = "noop"
needs = ["a"]
[[step]]
id = "c"
kind = "command"
with.argv = ["{{ run.id }}-no-such-program-anywhere"]
"#,
    );
    assert_eq!(lab.start().exit_code(), 3);
    let failure = lab.step("a").failure.unwrap();
    assert!(failure.message.contains("code 7") && failure.message.contains("out of cheese"), "{failure}");
    assert_eq!(lab.step("a").attempts, 2);
    assert_eq!(lab.step("b").status, StepStatus::Pending);
    // A retry would not help, so there is none.
    assert_eq!(lab.step("c").attempts, 1);
    assert!(lab.step("c").failure.unwrap().message.contains("no-such-program-anywhere"));
}

#[test]
fn a_slow_attempt_times_out() {
    let lab = Lab::new(
        r#"
name = "slow"
[[step]]
id = "a"
kind = "command"
timeout = { start_to_close = "3s" }
retry = { initial_interval = "1ms" }
with.shell = "if [ $STEPWELL_ATTEMPT = 1 ]; then sleep 600; fi"
"#,
    );
    lab.start().ends_well();
    let timed_out = |event: &Event| matches!(event.step_kind(), Some(StepEventKind::AttemptFailed { failure }) if failure.kind.as_str() == "timeout");
    assert_eq!(lab.count(timed_out), 1);
    assert_eq!(lab.processes(), Vec::<u32>::new());
}

#[test]
fn a_fan_out_over_values_known_at_run_time() {
    let lab = Lab::new(
        r#"
name = "fan"
[params]
on = false
[[step]]
id = "list"
kind = "command"
with.shell = "echo '{\"items\": [3, 1, 2]}' > $STEPWELL_VALUES"
[[step]]
id = "each"
kind = "command"
for_each = "steps.list.values.items"
with.shell = "echo '{\"square\": '$(({{ item }} * {{ item }}))', \"at\": {{ index }}}' > $STEPWELL_VALUES"
[[step]]
id = "sum"
kind = "noop"
with.values.squares = "{{ steps.each.values.square }}"
[[step]]
id = "never"
kind = "noop"
when = "params.on"
[[step]]
id = "after"
kind = "noop"
needs = ["never"]
"#,
    );
    lab.start().ends_well();
    let values = lab.step("sum").outputs.unwrap().values;
    assert_eq!(values["squares"], serde_json::json!([9, 1, 4]));
    assert_eq!(lab.step("never").status, StepStatus::Skipped);
    assert_eq!(lab.step("after").status, StepStatus::Skipped);
}

fn copying(word: &str, folder: &Path) -> String {
    format!(
        r#"
name = "copying"
[params]
at = "{}"
[[step]]
id = "a"
kind = "command"
[step.with]
inputs = ["input.txt"]
outputs = {{ copy = "copy" }}
shell = "cp {{{{ params.at }}}}/input.txt $STEPWELL_OUTPUT_DIR/copy"
[[step]]
id = "b"
kind = "command"
[step.with]
outputs = {{ out = "out" }}
shell = "echo {word} {{{{ steps.a.outputs.copy.digest }}}} > $STEPWELL_OUTPUT_DIR/out"
"#,
        folder.display()
    )
}

#[test]
fn equal_work_is_reused_and_changed_inputs_are_not() {
    let lab = Lab::new("");
    let reused_after = |word: &str| {
        fs::write(lab.path("w.toml"), copying(word, lab.folder.path())).unwrap();
        lab.start().ends_well();
        (lab.step("a").reused_from.is_some(), lab.step("b").reused_from.is_some())
    };
    fs::write(lab.path("input.txt"), "one").unwrap();
    assert_eq!(reused_after("x"), (false, false));
    assert_eq!(reused_after("x"), (true, true));
    assert_eq!(reused_after("y"), (true, false), "only the step that changed");
    fs::write(lab.path("input.txt"), "onf").unwrap();
    assert_eq!(reused_after("y"), (false, false), "one byte of input: the step and its descendants");
    let digest = lab.step("a").outputs.unwrap().artifacts["copy"].digest.clone();
    let mut blobs = walkdir::WalkDir::new(lab.state().join("artifacts")).into_iter().flatten();
    let blob = blobs.find(|entry| entry.file_name() == digest.as_str()).unwrap();
    fs::remove_file(blob.path()).unwrap();
    assert_eq!(reused_after("y"), (false, true), "outputs that are gone cannot be reused");
}

#[test]
fn one_engine_at_a_time_and_a_worker_takes_what_is_left() {
    let lab = Lab::new(
        r#"
name = "c"
[[step]]
id = "a"
kind = "command"
with.shell = "while [ ! -e go ]; do sleep 0.05; done"
with.cwd = "."
"#,
    );
    let mut engine = lab.start();
    lab.worker("a");
    // `resume` asks the running engine; a second engine is refused.
    lab.spawn(&["resume", "--detach"]).ends_well();
    let mut second = lab.spawn(&["worker"]);
    assert!(!second.wait().success());
    let said = second.stderr();
    assert!(said.contains(&engine.child.id().to_string()), "does not name the holder: {said}");
    engine.signal(Signal::KILL);
    engine.wait();
    fs::write(lab.path("go"), "").unwrap();
    lab.spawn(&["worker", "--exit-when-idle"]).ends_well();
    assert_eq!(lab.stored_status(), RunStatus::Succeeded);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_the_log_says_so() {
    let lab = Lab::new(&counter(60));
    let engine = lab.start();
    let checkpoints = |lab: &Lab| lab.reader().checkpoints(lab.run(), &StepId::from("count")).unwrap();
    lab.wait_until("the second checkpoint", |lab| checkpoints(lab).len() >= 2);
    engine.signal(Signal::TERM);
    assert_eq!(engine.exit_code(), 130);
    let committed = checkpoints(&lab);
    let digest = committed[0].checkpoint.artifact.clone().unwrap().digest;
    let mut blobs = walkdir::WalkDir::new(lab.state().join("artifacts")).into_iter().flatten();
    let blob = blobs.find(|entry| entry.file_name() == digest.as_str()).unwrap().into_path();
    let mut bytes = fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    lab.resume().ends_well();
    let log = attempt_log(&lab.state(), lab.run(), &StepId::from("count"), 2);
    let from = committed[1].checkpoint.last_step.unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), format!("from {from}\n"));
    let names = |event: &Event| matches!(event.step_kind(), Some(StepEventKind::Note { message }) if message.contains(digest.as_str()));
    assert_eq!(lab.count(names), 1);
}

#[test]
fn checkpoints_of_other_inputs_are_not_used() {
    let lab = Lab::new(
        r#"
name = "other"
[[step]]
id = "a"
kind = "command"
retry = { initial_interval = "1ms" }
[step.with]
inputs = ["input.txt"]
shell = """
echo "last: $(cat $STEPWELL_CHECKPOINT_DIR/last/n 2>/dev/null)"
case $STEPWELL_ATTEMPT in
1) mkdir $STEPWELL_CHECKPOINT_DIR/next; echo old > $STEPWELL_CHECKPOINT_DIR/next/n
   touch $STEPWELL_CHECKPOINT_DIR/next.ready; sleep 600;;
2) exit 1;;
esac
"""
"#,
    );
    fs::write(lab.path("input.txt"), "one").unwrap();
    let engine = lab.start();
    let step = StepId::from("a");
    lab.wait_until("the checkpoint", |lab| !lab.reader().checkpoints(lab.run(), &step).unwrap().is_empty());
    engine.signal(Signal::KILL);
    drop(engine);
    fs::write(lab.path("input.txt"), "two").unwrap();
    lab.resume().ends_well();
    for attempt in [2, 3] {
        let log = attempt_log(&lab.state(), lab.run(), &step, attempt);
        assert_eq!(fs::read_to_string(log).unwrap(), "last: \n", "attempt {attempt} saw an old checkpoint");
    }
}

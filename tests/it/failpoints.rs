//! Arms every failpoint with every action, in a run with checkpoints, outputs, a fan-out and a cancel, then recovers
//! without the fault. Outputs are the same, every step is committed once, no acknowledged data is lost, and no process
//! is left.
//!
//! `STEPWELL_FAILPOINT_ROUNDS` repeats all cases with faults at other moments, `STEPWELL_FAILPOINT_PAUSE_MS`
//! sets the length of a pause, `STEPWELL_FAILPOINT_ONLY` selects the points whose name contains that text.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use stepwell_artifact::ArtifactStore;
use stepwell_base::faults::{OPERATIONS, RECORD_VARIABLE};
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_store::{Reader, check};

use crate::batch::tiny_model;
use crate::harness::{Finished, Sandbox, processes_with, read};

/// Limit for each wait; generous even for ten drills at once on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const ACTIONS: [Action; 4] = [Action::Abort, Action::Error, Action::Pause, Action::Full];
/// Points that get a full disk. The engine finds space at its next check; a worker would hit the full disk in every
/// attempt.
const FULL_DISKS: [&str; 3] = ["store.", "engine.", "executor."];

/// Points with an abort at every single hit: no commit may be acknowledged early or lost late.
const EVERY_TIME: [&str; 2] = ["store.commit.before", "store.commit.after"];

/// A step with checkpoints and two outputs, whose pool forces a separate worker; then a fan-out that reads one of them. Beside them
/// two batches of requests, of which the second uses an answer of the first and removes its segment.
const WORKFLOW: &str = r#"
name = "drill"
[[step]]
id = "count"
kind = "command"
resources = { licence = 1 }
retry = { initial_interval = "1ms", maximum_attempts = 3 }
[step.with]
outputs = { total = "total", numbers = "numbers" }
shell = """
cd "$STEPWELL_CHECKPOINT_DIR"
n=$(cat last/n 2>/dev/null || echo 0)
echo "from $n" >> LEDGER
mkdir -p "$STEPWELL_OUTPUT_DIR/numbers"
while [ $n -lt 4 ]; do
  n=$((n + 1))
  mkdir -p next && echo $n > next/n
  echo '{"last_step": '$n'}' > new && mv new next.ready
  while [ -e next.ready ]; do sleep 0.01; done
  echo "acknowledged $n" >> LEDGER
done
for i in 1 2 3 4; do echo $i > "$STEPWELL_OUTPUT_DIR/numbers/$i"; done
echo $n > "$STEPWELL_OUTPUT_DIR/total"
"""
[[step]]
id = "each"
kind = "command"
for_each = "[1, 2]"
retry = { initial_interval = "1ms", maximum_attempts = 3 }
[step.with]
argv = ["sh", "-c", "cat $0/* > $STEPWELL_OUTPUT_DIR/out; echo {{ item }} >> $STEPWELL_OUTPUT_DIR/out", "{{ steps.count.outputs.numbers }}"]
outputs = { out = "out" }
[[step]]
id = "all"
kind = "noop"
with.values.outputs = "{{ steps.each.outputs.out }}"
[[step]]
id = "ask"
kind = "infer"
retry = { initial_interval = "1ms", maximum_attempts = 3 }
with = { model = "model", requests = "first.jsonl", concurrency = 2 }
[[step]]
id = "ask-more"
kind = "infer"
needs = ["ask"]
retry = { initial_interval = "1ms", maximum_attempts = 3 }
with = { model = "model", requests = "second.jsonl", concurrency = 2 }
"#;

/// Rows of both batches: an equal one, others, and one that no model can answer.
const FIRST: &str = r#"{"custom_id":"both","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"Hello","max_tokens":4}}
{"custom_id":"many","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"Hello","n":1000000000}}
{"custom_id":"one","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"One","max_tokens":4}}
{"custom_id":"two","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"Two","max_tokens":7}}
"#;
const SECOND: &str = r#"{"custom_id":"new","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"New","max_tokens":4}}
{"custom_id":"both","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"Hello","max_tokens":4}}
"#;

/// Runs until it is canceled.
const VICTIM: &str = r#"
name = "victim"
[[step]]
id = "sleep"
kind = "command"
retry = { initial_interval = "1ms", maximum_attempts = 2 }
with.shell = "touch STARTED; sleep 300 & wait"
"#;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Abort,
    Error,
    Pause,
    Full,
}

/// One point, armed to act when a process reaches it for the `nth` time.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Fault {
    point: String,
    nth: usize,
    action: Action,
}

impl Fault {
    /// The value of `FAILPOINTS`.
    fn armed(&self) -> String {
        let action = match self.action {
            // A batch gives up a row that kills each of its workers.
            Action::Abort if self.point.starts_with("batch.") => "return(abort-once)".to_owned(),
            Action::Abort => "return(abort)".to_owned(),
            Action::Error => "return(error)".to_owned(),
            Action::Full => "return(full)".to_owned(),
            Action::Pause => format!("sleep({})", setting("STEPWELL_FAILPOINT_PAUSE_MS", 300)),
        };
        match self.nth {
            1 => format!("{}=1*{action}", self.point),
            nth => format!("{}={}*off->1*{action}", self.point, nth - 1),
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn points() -> Vec<String> {
    let only = std::env::var("STEPWELL_FAILPOINT_ONLY").unwrap_or_default();
    let both = OPERATIONS.iter().flat_map(|operation| [format!("{operation}.before"), format!("{operation}.after")]);
    // `remote::kills` tries those of rented machines.
    both.filter(|point| point.contains(&only) && !point.starts_with("remote.")).collect()
}

/// Digests and values of the run's outputs, by step.
type Outcome = BTreeMap<String, String>;

/// One drill in its own state directory.
struct Drill {
    sandbox: Sandbox,
    fault: Option<Fault>,
    /// Messages of the processes under the fault.
    said: String,
}

impl Drill {
    fn new(fault: Option<Fault>) -> Drill {
        let sandbox = Sandbox::new();
        let path = |name: &str| sandbox.path(name).display().to_string();
        sandbox.write("drill.toml", WORKFLOW.replace("LEDGER", &path("ledger")));
        sandbox.write("stepwell.toml", "[pools]\nlicence = 1\n");
        sandbox.write("victim.toml", VICTIM.replace("STARTED", &path("started")));
        sandbox.write("first.jsonl", FIRST);
        sandbox.write("second.jsonl", SECOND);
        tiny_model(&sandbox.path("model"));
        write_old_state(&sandbox.path("old"));
        Drill { sandbox, fault, said: String::new() }
    }

    /// Starts a verb with the fault.
    fn start(&self, args: &[&str]) -> Child {
        let mut command = self.sandbox.command(args);
        if let Some(fault) = &self.fault {
            command.env("FAILPOINTS", fault.armed());
        }
        command.env(RECORD_VARIABLE, self.sandbox.path("record"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn finish(&mut self, what: &str, child: Child) -> Result<Finished, String> {
        let finished = finish(what, child)?;
        self.said.push_str(&format!("{what}: exit {}\n{}", finished.code, finished.stderr));
        Ok(finished)
    }

    /// Runs everything with the fault, then recovers without it.
    fn perform(&mut self) -> Result<Outcome, String> {
        let listed = self.start(&["list", "--state-dir", "old"]);
        self.finish("list", listed)?;
        let run = self.start(&["run", "drill.toml", "--name", "drill", "--idempotency-key", "drill"]);
        let run = self.finish("run", run)?;
        self.leave_a_half_written_artifact();
        let reader = self.read_for_long();
        let engine = self.start(&["run", "victim.toml", "--name", "victim"]);
        let engine = self.wait_for_the_victim(engine)?;
        drop(reader);
        let cancel = self.start(&["cancel", "victim"]);
        let cancel = self.finish("cancel", cancel)?;
        if self.status("victim").is_some_and(|status| status != "canceled") {
            expect(cancel.code != 0, "the cancel was acknowledged, and is lost")?;
            self.sandbox.stepwell(&["cancel", "victim"]);
        }
        let victim = self.finish("victim", engine)?;
        self.maintain()?;
        self.recover(&run, &victim)
    }

    /// Opens a read transaction, which keeps a starting engine from emptying the WAL.
    fn read_for_long(&self) -> Option<Connection> {
        let database = self.sandbox.state().join("stepwell.db");
        let reader = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        reader.execute_batch("BEGIN; SELECT count(*) FROM event").ok()?;
        Some(reader)
    }

    fn wait_for_the_victim(&mut self, mut engine: Child) -> Result<Child, String> {
        let deadline = Instant::now() + PATIENCE;
        while !self.sandbox.path("started").exists() && engine.try_wait().unwrap().is_none() {
            expect(Instant::now() < deadline, "the victim neither starts nor fails")?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(engine)
    }

    /// Backs up, restores and collects garbage; repeats an interrupted restore.
    fn maintain(&mut self) -> Result<(), String> {
        let backup = self.start(&["db", "backup", "--artifacts", "copy"]);
        if self.finish("backup", backup)?.code == 0 {
            let restore = self.start(&["db", "restore", "copy"]);
            if self.finish("restore", restore)?.code != 0 {
                let again = self.sandbox.stepwell(&["db", "restore", "copy"]);
                expect(again.code == 0, &format!("cannot restore again: {}", again.stderr))?;
            }
        }
        self.leave_a_half_written_artifact();
        let gc = self.start(&["gc"]);
        self.finish("gc", gc).map(drop)
    }

    fn recover(&mut self, run: &Finished, victim: &Finished) -> Result<Outcome, String> {
        let acknowledged = run.stdout.contains("run ");
        expect(!acknowledged || self.status("drill").is_some(), "the acknowledged run is lost")?;
        expect(run.code != 0 || self.status("drill").as_deref() == Some("succeeded"), "the success is lost")?;
        expect(!victim.stdout.contains("run ") || self.status("victim").is_some(), "the second run is lost")?;
        let again = if acknowledged {
            self.sandbox.stepwell(&["resume", "drill"])
        } else {
            self.sandbox.stepwell(&["run", "drill.toml", "--name", "drill", "--idempotency-key", "drill"])
        };
        expect(again.code == 0, &format!("the next start failed with {}: {}", again.code, again.stderr))?;
        expect(self.status("drill").as_deref() == Some("succeeded"), "not succeeded")?;
        let ended = ["canceled", "failed"];
        expect(self.status("victim").is_none_or(|status| ended.contains(&status.as_str())), "the victim is not over")?;
        // A run that had already succeeded starts no engine, so sweep temporary files here.
        let gc = self.sandbox.stepwell(&["gc"]);
        expect(gc.code == 0, &format!("gc fails: {}", gc.stderr))?;
        let listed = self.sandbox.stepwell(&["list", "--state-dir", "old"]);
        expect(listed.code == 0, &format!("the old state does not open: {}", listed.stderr))?;
        self.check()
    }

    fn check(&self) -> Result<Outcome, String> {
        let state = self.sandbox.state();
        for folder in [&state, &self.sandbox.path("old")] {
            let problems = check(folder).map_err(|error| error.to_string())?;
            expect(problems.is_empty(), &format!("db check: {problems:?}"))?;
        }
        let reader = Reader::open(&state).map_err(|error| error.to_string())?;
        let artifacts = ArtifactStore::open(&state).map_err(|error| error.to_string())?;
        for (step, name, artifact) in reader.artifacts(None).map_err(|error| error.to_string())? {
            artifacts.verify(&artifact).map_err(|error| format!("{step}/{name}: {error}"))?;
        }
        let temporary = fs::read_dir(state.join("artifacts/tmp")).unwrap().count();
        expect(temporary == 0, &format!("{temporary} temporary files are left"))?;
        let twice = self.sandbox.query(
            "SELECT step FROM event WHERE kind = 'step_succeeded' AND run = (SELECT id FROM run WHERE name = 'drill')
             GROUP BY step HAVING count(*) <> 1",
        );
        expect(twice.is_empty(), &format!("committed more than once: {twice:?}"))?;
        self.check_ledger()?;
        self.check_processes()?;
        let outputs = "SELECT o.step || '/' || o.name || ' ' || o.digest FROM step_output o
                       JOIN run r ON o.run = r.id WHERE r.name = 'drill'
                       UNION ALL SELECT s.id || ' ' || json_remove(s.output_values, '$.reused', '$.tokens_per_second')
                       FROM step s JOIN run r ON s.run = r.id WHERE r.name = 'drill' AND s.output_values IS NOT NULL";
        let rows = self.sandbox.query(outputs);
        let pair = |row: &String| row.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        Ok(rows.iter().filter_map(pair).collect())
    }

    /// Checks that no attempt starts before an acknowledged checkpoint.
    fn check_ledger(&self) -> Result<(), String> {
        let ledger = read(&self.sandbox.path("ledger"));
        let mut acknowledged = 0;
        for (what, number) in ledger.lines().filter_map(|line| line.split_once(' ')) {
            let number: u32 = number.parse().map_err(|_| format!("ledger:\n{ledger}"))?;
            match what {
                "acknowledged" => acknowledged = number,
                _ => expect(number >= acknowledged, &format!("a checkpoint was lost:\n{ledger}"))?,
            }
        }
        Ok(())
    }

    fn check_processes(&self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        for run in self.sandbox.query("SELECT id FROM run") {
            let mark = format!("STEPWELL_ATTEMPT_ID={run}/");
            while !processes_with(&mark).is_empty() {
                expect(Instant::now() < deadline, &format!("orphans: {:?}", processes_with(&mark)))?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Simulates a killed artifact writer.
    fn leave_a_half_written_artifact(&self) {
        let folder = self.sandbox.state().join("artifacts/tmp");
        if folder.is_dir() {
            fs::write(folder.join("half-written"), "half").unwrap();
        }
    }

    fn status(&self, name: &str) -> Option<String> {
        let reader = Reader::open(&self.sandbox.state()).ok()?;
        let run = reader.resolve_run(name).ok()?;
        Some(reader.run(run).ok()?.stored_status.to_string())
    }

    /// The largest number of hits of one process, by point.
    fn hits(&self) -> HashMap<String, usize> {
        let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
        let record = read(&self.sandbox.path("record"));
        for (process, point) in record.lines().filter_map(|line| line.split_once(' ')) {
            *counts.entry((process, point)).or_default() += 1;
        }
        let mut most: HashMap<String, usize> = HashMap::new();
        for ((_, point), count) in counts {
            let most = most.entry(point.to_owned()).or_default();
            *most = count.max(*most);
        }
        most
    }
}

fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn finish(what: &str, mut child: Child) -> Result<Finished, String> {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let said = Finished::from(child.wait_with_output().unwrap()).stderr;
            return Err(format!("`{what}` hangs: {said}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(Finished::from(child.wait_with_output().unwrap()))
}

/// A state directory of the first schema.
fn write_old_state(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let database = Connection::open(folder.join("stepwell.db")).unwrap();
    database.execute_batch(include_str!("../../crates/store/src/migrations/V1__tables.sql")).unwrap();
    database.execute_batch(include_str!("../fixtures/schema_history_1.sql")).unwrap();
}

/// Runs one case; returns whether the fault happened, and the problem.
fn attempt(fault: &Fault, expected: &Outcome) -> (bool, Result<(), String>) {
    let mut drill = Drill::new(Some(fault.clone()));
    let result = drill.perform();
    let happened = drill.hits().get(&fault.point).is_some_and(|hits| *hits >= fault.nth);
    let result = result.and_then(|outcome| expect(outcome == *expected, "other outputs"));
    let result = result.map_err(|problem| format!("FAILPOINTS='{}': {problem}\n{}", fault.armed(), drill.said));
    (happened, result)
}

/// Repeats a fault that did not happen at the first hit: the number of hits varies a little.
fn case(mut fault: Fault, expected: &Outcome) -> Result<(), String> {
    let (happened, result) = attempt(&fault, expected);
    if happened || result.is_err() {
        return result;
    }
    fault.nth = 1;
    let (happened, result) = attempt(&fault, expected);
    result.and_then(|()| expect(happened, &format!("{fault:?} did not happen")))
}

fn cases(hits: &HashMap<String, usize>) -> Vec<Fault> {
    let mut cases = Vec::new();
    for point in points().into_iter().filter(|point| EVERY_TIME.contains(&point.as_str())) {
        cases.extend((1..=hits[&point]).map(|nth| Fault { point: point.clone(), nth, action: Action::Abort }));
    }
    for round in 0..setting("STEPWELL_FAILPOINT_ROUNDS", 1) {
        for point in points() {
            for action in ACTIONS {
                if action == Action::Full && !FULL_DISKS.iter().any(|layer| point.starts_with(layer)) {
                    continue;
                }
                let mut rng = Rng::new(derive_seed(round, &format!("{point} {action:?}"), 0));
                let nth = 1 + rng.below(hits[&point] as u64) as usize;
                cases.push(Fault { point: point.clone(), nth, action });
            }
        }
    }
    cases
}

#[test]
fn a_fault_at_any_point_loses_nothing() {
    let mut whole = Drill::new(None);
    let expected = whole.perform().unwrap_or_else(|problem| panic!("{problem}\n{}", whole.said));
    assert_eq!(expected.len(), 15, "{expected:?}");
    let hits = whole.hits();
    let missed: Vec<String> = points().into_iter().filter(|point| !hits.contains_key(point)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");

    let cases = cases(&hits);
    let next = Mutex::new(cases.iter());
    let problems = Mutex::new(Vec::new());
    let threads = 4 * thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(fault) = next.lock().unwrap().next() else { return };
                    if let Err(problem) = case(fault.clone(), &expected) {
                        problems.lock().unwrap().push(problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    println!("{} faults at {} points, {} problems", cases.len(), points().len(), problems.len());
    assert!(problems.is_empty(), "{} of {} cases:\n{}", problems.len(), cases.len(), problems.join("\n\n"));
}

/// The refusal advises to restore again, not to accept a loss.
#[test]
fn a_restore_cut_short_is_refused_as_that() {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    sandbox.stepwell(&["run", "w.toml"]).ok();
    sandbox.stepwell(&["db", "backup", "copy"]).ok();
    sandbox.stepwell(&["run", "w.toml"]).ok();
    // Covers the time from the removal of the old log until `event-head` of the backup exists.
    for point in
        ["store.restore.remove.after", "store.restore.rename.before=1*off->", "store.restore.rename.before=2*off->"]
    {
        let armed =
            if point.contains('=') { format!("{point}1*return(abort)") } else { format!("{point}=1*return(abort)") };
        let mut command = sandbox.command(&["db", "restore", "copy"]);
        let restore = Finished::from(command.env("FAILPOINTS", &armed).output().unwrap());
        assert_eq!(restore.code, -1, "{armed}: {}", restore.stderr);
        sandbox.stepwell(&["run", "w.toml"]).exits(3).says(&["restore", "interrupted", "db restore BACKUP"]);
        sandbox.stepwell(&["db", "restore", "copy"]).ok();
        assert_eq!(sandbox.query_count("run"), 1);
        sandbox.stepwell(&["db", "check"]).ok();
        sandbox.stepwell(&["run", "w.toml"]).ok();
    }
}

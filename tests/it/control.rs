//! Control of runs: pause, resume, retry, rerun, fork and explain.

use std::path::PathBuf;
use std::process::Child;

use serde_json::Value;

use crate::harness::{Sandbox, eventually, read};

/// `before` is never reused by default; `count` counts with a checkpoint at every third number, and waits for
/// the file `gate` at 6; `after` uses both.
const COUNTER: &str = r#"
name = "counter"
[params]
word = "x"
limit = 12

[[step]]
id = "before"
kind = "command"
with = { shell = "echo ran >> FOLDER/ran.before; echo '{\"n\": 1}' > \"$STEPWELL_VALUES\"" }

[[step]]
id = "count"
kind = "command"
needs = ["before"]
retry = { initial_interval = "10ms", maximum_attempts = 2 }
[step.with]
outputs = { lines = "lines" }
env = { WORD = "{{ params.word }}", LIMIT = "{{ params.limit }}" }
shell = """
echo ran >> FOLDER/ran.count
box="$STEPWELL_CHECKPOINT_DIR"; mkdir -p now; rm -f now/*
cp "$box"/last/* now/ 2>/dev/null
n=$(cat now/n 2>/dev/null || echo 0); echo "from $n" >> FOLDER/from
while [ $n -lt $LIMIT ]; do
  if [ $n = 6 ]; then while [ ! -e FOLDER/gate ]; do sleep 0.02; done; fi
  n=$((n+1)); echo $n > now/n; echo "$WORD $n" >> now/lines
  if [ $((n % 3)) = 0 ]; then
    cp -r now "$box/next"; echo '{"last_step": '$n'}' > "$box/marker"; mv "$box/marker" "$box/next.ready"
    while [ -e "$box/next.ready" ]; do sleep 0.01; done
  fi
done
cp now/lines "$STEPWELL_OUTPUT_DIR/lines"
"""

[[step]]
id = "after"
kind = "command"
with = { shell = "echo ran >> FOLDER/ran.after; wc -l < \"$LINES_FILE\" > \"$STEPWELL_OUTPUT_DIR/n\"", env = { LINES_FILE = "{{ steps.count.outputs.lines }}", N = "{{ steps.before.values.n }}" }, outputs = { n = "n" } }
"#;

struct Lab {
    sandbox: Sandbox,
    worker: Option<Child>,
}

impl Lab {
    fn new(workflow: &str) -> Lab {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("notes");
        std::fs::create_dir(&folder).unwrap();
        sandbox.write("w.toml", workflow.replace("FOLDER", folder.to_str().unwrap()));
        Lab { sandbox, worker: None }
    }

    fn open(workflow: &str) -> Lab {
        let lab = Lab::new(workflow);
        lab.touch("gate");
        lab
    }

    fn note(&self, name: &str) -> PathBuf {
        self.sandbox.path("notes").join(name)
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.note(name), "").unwrap();
    }

    /// Counts the executions of a step.
    fn ran(&self, step: &str) -> usize {
        read(&self.note(&format!("ran.{step}"))).lines().count()
    }

    fn serve(&mut self) {
        self.stop();
        self.worker = Some(self.sandbox.start(&["worker"]));
        eventually("the worker holds the lock", || self.sandbox.state().join("engine.lock").exists() && self.served());
    }

    fn served(&self) -> bool {
        stepwell_store::EngineLock::holder(&self.sandbox.state()).is_some()
    }

    fn stop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.kill().unwrap();
            worker.wait().unwrap();
        }
    }

    fn submit(&self, more: &[&str]) {
        self.sandbox.stepwell(&[&["run", "w.toml", "--detach"], more].concat()).ok();
    }

    fn status(&self) -> String {
        self.sandbox.show()["run"]["status"].as_str().unwrap().to_owned()
    }

    fn step(&self, id: &str) -> Value {
        let show = self.sandbox.show();
        show["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap().clone()
    }

    fn step_is(&self, id: &str, status: &str) -> bool {
        self.step(id)["status"] == status
    }

    fn explain(&self, step: &str) -> Value {
        let value = self.sandbox.stepwell(&["explain", "last", step, "--output", "json"]).ok().json();
        value["steps"][0]["details"][0].clone()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn a_pause_survives_engines_and_loses_neither_work_nor_retries() {
    let mut lab = Lab::new(COUNTER);
    lab.submit(&[]);
    assert_eq!(lab.explain("before")["code"], "no_engine");
    assert_eq!(lab.explain("count")["code"], "needs");
    lab.serve();
    eventually("a checkpoint", || lab.step("count")["last_step"] == 6);
    lab.sandbox.stepwell(&["pause", "counter", "--reason", "lunch"]).ok();
    eventually("the attempt stops", || lab.step_is("count", "ready"));
    assert_eq!(lab.status(), "paused");
    let why = lab.explain("count");
    assert!(why["code"] == "paused" && why["message"].as_str().unwrap().contains("lunch"), "{why}");
    lab.serve();
    // Long enough for an engine to claim the step wrongly.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!((lab.status().as_str(), lab.ran("count")), ("paused", 1));
    lab.touch("gate");
    let resumed = lab.sandbox.stepwell(&["resume", "counter"]).ok().says(&["is the engine here"]);
    assert!(resumed.stdout.contains("succeeded in"), "{}", resumed.stdout);
    assert_eq!(lab.status(), "succeeded", "resume watched the worker");
    assert_eq!(read(&lab.note("from")), "from 0\nfrom 6\n");
    assert_eq!(lab.sandbox.query("SELECT retries_used FROM step WHERE id = 'count'"), ["0"]);
    lab.stop();
    lab.sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_foreground_run_that_is_paused_exits_and_resumes_in_the_foreground() {
    let lab = Lab::new(COUNTER);
    let run = lab.sandbox.command(&["run", "w.toml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    eventually("a checkpoint", || lab.sandbox.query_count("checkpoint") > 0);
    lab.sandbox.stepwell(&["pause", "last"]).ok();
    let run = crate::harness::Finished::from(run.wait_with_output().unwrap());
    run.exits(130).says(&["is paused", "stepwell resume"]);
    lab.touch("gate");
    lab.sandbox.stepwell(&["resume"]).ok();
    assert_eq!(lab.status(), "succeeded");
    lab.sandbox.stepwell(&["pause", "last"]).exits(2).says(&["has ended"]);
}

#[test]
fn a_paused_run_can_be_canceled_without_an_engine() {
    let lab = Lab::new(COUNTER);
    lab.submit(&[]);
    lab.sandbox.stepwell(&["pause", "last"]).ok();
    assert_eq!(lab.status(), "paused");
    lab.sandbox.stepwell(&["cancel", "last"]).ok();
    assert_eq!(lab.status(), "canceled");
}

/// `bad` and the items of `fan` fail until the file `good` exists; `slow` waits for the gate.
const FAILING: &str = r#"
name = "failing"
[[step]]
id = "slow"
kind = "command"
with = { shell = "while [ ! -e FOLDER/gate ]; do sleep 0.02; done" }
[[step]]
id = "bad"
kind = "command"
retry = { maximum_attempts = 1 }
with = { shell = "echo ran >> FOLDER/ran.bad; [ -e FOLDER/good ]" }
[[step]]
id = "fan"
kind = "command"
needs = ["bad"]
for_each = "[0, 1, 2]"
retry = { maximum_attempts = 1 }
with = { shell = "echo ran >> FOLDER/ran.fan{{ item }}; [ {{ item }} = 0 ] || [ -e FOLDER/better ]" }
"#;

#[test]
fn a_failed_step_is_retried_through_the_engine_while_the_rest_goes_on() {
    let mut lab = Lab::new(FAILING);
    lab.serve();
    lab.submit(&[]);
    eventually("the failure", || lab.step_is("bad", "failed"));
    assert_eq!(lab.explain("fan")["message"].as_str().unwrap().matches("stepwell retry").count(), 1);
    lab.sandbox.stepwell(&["retry", "last", "slow"]).exits(2).says(&["`slow` has not failed"]);
    lab.sandbox.stepwell(&["retry", "last", "nothing"]).exits(6);
    lab.touch("good");
    lab.sandbox.stepwell(&["retry", "last", "bad", "--detach"]).ok();
    eventually("the retry", || lab.step_is("bad", "succeeded"));
    eventually("the items fail", || lab.step_is("fan", "failed"));
    assert!(lab.step_is("slow", "running"), "the rest continued");
    lab.touch("gate");
    eventually("the run fails", || lab.status() == "failed");
    lab.sandbox.stepwell(&["retry", "last", "fan[1]"]).exits(3).says(&["fan[1]"]);
    assert_eq!((lab.ran("fan0"), lab.ran("fan1"), lab.ran("fan2")), (1, 2, 1));
    lab.touch("better");
    lab.sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(lab.status(), "succeeded");
    assert_eq!((lab.ran("fan0"), lab.ran("fan1"), lab.ran("fan2"), lab.ran("bad")), (1, 3, 2, 2));
    lab.stop();
    lab.sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_failed_step_is_retried_in_the_foreground_without_an_engine() {
    let lab = Lab::open(FAILING);
    lab.sandbox.stepwell(&["run", "w.toml"]).exits(3);
    lab.touch("good");
    lab.touch("better");
    lab.sandbox.stepwell(&["retry", "last", "bad"]).ok();
    assert_eq!((lab.status().as_str(), lab.ran("bad")), ("succeeded", 2));
    lab.sandbox.stepwell(&["retry", "last"]).says(&["has succeeded"]);
}

#[test]
fn a_rerun_takes_everything_but_the_step_and_its_descendants() {
    let lab = Lab::open(COUNTER);
    lab.sandbox.stepwell(&["run", "w.toml"]).ok();
    let first = lab.sandbox.digests();
    lab.sandbox.stepwell(&["rerun", "last", "--from-step", "count"]).ok();
    assert_eq!((lab.ran("before"), lab.ran("count"), lab.ran("after")), (1, 2, 2));
    assert_eq!(lab.sandbox.digests(), first);
    assert!(lab.explain("before")["code"] == "reused" && lab.explain("count")["code"] == "asked_for");
    lab.sandbox.stepwell(&["rerun", "last", "--from-step", "after", "-S", "word=y"]).ok();
    assert_eq!((lab.ran("before"), lab.ran("count"), lab.ran("after")), (1, 3, 3));
    let why = lab.sandbox.stepwell(&["explain", "last", "count"]).ok().stdout;
    assert!(why.contains("`params.word` changed \"x\" -> \"y\""), "{why}");
    let known = lab.sandbox.stepwell(&["rerun", "last", "--from-step", "nothing"]).exits(6);
    known.says(&["before, count, after"]);
    lab.sandbox.stepwell(&["rerun", "last", "--from-step", "count", "-S", "wort=y"]).exits(2).says(&["wort", "word=y"]);
    let mismatch = lab.sandbox.stepwell(&["rerun", "last", "--from-step", "count", "-S", "limit=many"]).exits(2);
    mismatch.says(&["param `limit` must be an integer"]);
    lab.sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_failed_run_and_a_canceled_one_are_rerun() {
    let lab = Lab::open(FAILING);
    lab.sandbox.stepwell(&["run", "w.toml"]).exits(3);
    lab.touch("good");
    lab.touch("better");
    lab.sandbox.stepwell(&["rerun", "last", "--from-step", "fan[1]"]).ok();
    assert_eq!((lab.status().as_str(), lab.ran("fan0")), ("succeeded", 1));
    assert_eq!(lab.explain("slow")["code"], "reused");
    lab.submit(&[]);
    lab.sandbox.stepwell(&["cancel", "last"]).ok();
    lab.sandbox.stepwell(&["rerun", "last", "--from-step", "slow"]).ok();
    assert_eq!(lab.status(), "succeeded");
}

#[test]
fn a_fork_goes_on_from_a_checkpoint_to_the_same_output() {
    let lab = Lab::open(COUNTER);
    lab.sandbox.stepwell(&["run", "w.toml"]).ok();
    let first = lab.sandbox.digests();
    let dropped = lab.sandbox.stepwell(&["fork", "last", "--at", "count:3"]).exits(6);
    dropped.says(&["no checkpoint of training step 3", "9, 12", "keep"]);
    lab.sandbox.stepwell(&["fork", "last", "--at", "before:3"]).exits(6).says(&["no checkpoints"]);
    lab.sandbox.stepwell(&["fork", "last", "--at", "count:9"]).ok();
    assert_eq!(read(&lab.note("from")), "from 0\nfrom 9\n");
    assert_eq!((lab.ran("before"), lab.ran("after")), (1, 2));
    assert_eq!(lab.sandbox.digests(), first);
    // Another parameter changes the key: lines before the fork point stay, later ones are new.
    lab.sandbox.stepwell(&["fork", "last", "--at", "count:9", "-S", "word=y", "--name", "other"]).ok();
    let lines = lab.sandbox.stepwell(&["artifact", "show", "last/count/lines"]).ok().stdout;
    assert!(lines.contains("x 9") && lines.contains("y 10") && !lines.contains("x 10"), "{lines}");
    let why = lab.sandbox.stepwell(&["explain", "last", "count"]).ok().stdout;
    assert!(why.contains("resumed from training step 9"), "{why}");
    lab.sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_fork_killed_before_its_first_checkpoint_goes_on_from_the_adopted_one() {
    let mut lab = Lab::open(COUNTER);
    lab.sandbox.stepwell(&["run", "w.toml", "-S", "limit=9"]).ok();
    std::fs::remove_file(lab.note("gate")).unwrap();
    lab.sandbox.stepwell(&["fork", "last", "--at", "count:6", "-S", "limit=12", "--detach"]).ok();
    lab.serve();
    eventually("the fork has started", || read(&lab.note("from")).lines().count() == 2);
    lab.serve();
    lab.touch("gate");
    eventually("the end", || lab.status() == "succeeded");
    assert_eq!(read(&lab.note("from")), "from 0\nfrom 6\nfrom 6\n");
    let lines = lab.sandbox.stepwell(&["artifact", "show", "last/count/lines"]).ok().stdout;
    assert!(lines.contains("x 12"), "{lines}");
}

#[test]
fn a_fork_whose_checkpoint_is_damaged_stops() {
    let lab = Lab::open(COUNTER);
    lab.sandbox.stepwell(&["run", "w.toml"]).ok();
    lab.sandbox.stepwell(&["fork", "last", "--at", "count:9", "--detach"]).ok();
    let digest = lab.sandbox.query("SELECT digest FROM checkpoint WHERE last_step = 9 LIMIT 1").remove(0);
    let path = lab.sandbox.state().join("artifacts/blobs").join(&digest[..2]).join(&digest);
    let mut permissions = path.metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&path, permissions).unwrap();
    std::fs::write(&path, "damaged").unwrap();
    lab.sandbox.stepwell(&["resume", "last"]).exits(3).says(&["training step 9", "unusable"]);
    assert_eq!(lab.ran("count"), 1, "it must not start over");
    lab.sandbox.stepwell(&["fork", "last", "--at", "count:9"]).exits(3);
}

#[test]
fn some_exit_codes_are_not_tried_again() {
    let lab = Lab::new(
        r#"
name = "codes"
[params]
exit = "exit 64"
[[step]]
id = "a"
kind = "command"
retry = { initial_interval = "1ms", maximum_attempts = 3, non_retryable = [64, 139] }
with = { shell = "echo ran >> FOLDER/ran.a; {{ params.exit }}" }
"#,
    );
    lab.sandbox.stepwell(&["run", "w.toml"]).exits(3);
    assert_eq!(lab.ran("a"), 1);
    assert_eq!(lab.step("a")["failure"]["exit"]["code"], 64);
    lab.sandbox.stepwell(&["run", "w.toml", "-S", "exit=kill -SEGV $$"]).exits(3);
    assert_eq!(lab.ran("a"), 2);
    assert_eq!(lab.step("a")["failure"]["exit"]["signal"], 11);
    lab.sandbox.stepwell(&["run", "w.toml", "-S", "exit=exit 1"]).exits(3);
    assert_eq!(lab.ran("a"), 5);
}

#[test]
fn schedule_to_close_goes_on_while_no_engine_runs() {
    let mut lab = Lab::new(
        r#"
name = "late"
[[step]]
id = "a"
kind = "command"
retry = { initial_interval = "1ms", maximum_attempts = 1000 }
timeout = { schedule_to_close = "3s" }
with = { shell = "echo ran >> FOLDER/ran.a; sleep 600" }
"#,
    );
    lab.submit(&[]);
    lab.serve();
    eventually("the first attempt", || lab.ran("a") == 1);
    lab.stop();
    std::thread::sleep(std::time::Duration::from_secs(3));
    lab.sandbox.stepwell(&["resume", "last"]).exits(3).says(&["within 3 s", "schedule_to_close"]);
    assert_eq!(lab.step("a")["failure"]["kind"], "schedule_to_close");
    assert_eq!(lab.explain("a")["code"], "schedule_to_close");
    assert_eq!(lab.ran("a"), 1, "there was no time for another attempt");
}

#[test]
fn explain_tells_backoff_and_slots_and_what_never_is_reused() {
    let mut lab = Lab::new(
        r#"
name = "reasons"
[[step]]
id = "again"
kind = "command"
retry = { initial_interval = "1h", maximum_attempts = 2 }
with = { shell = "echo why; exit 1" }
[[step]]
id = "one"
kind = "command"
with = { shell = "while [ ! -e FOLDER/gate ]; do sleep 0.02; done" }
[[step]]
id = "two"
kind = "command"
with = { shell = "while [ ! -e FOLDER/gate ]; do sleep 0.02; done" }
"#,
    );
    lab.worker = Some(lab.sandbox.command(&["worker", "--quiet"]).env("STEPWELL_SLOTS", "1").spawn().unwrap());
    eventually("the worker is there", || lab.served());
    lab.submit(&[]);
    eventually("the backoff", || lab.step_is("again", "ready") && lab.step_is("one", "running"));
    let why = lab.explain("again");
    assert!(why["code"] == "backoff" && why["message"].as_str().unwrap().contains("exited with code 1"), "{why}");
    assert_eq!(lab.explain("two")["code"], "slot");
    lab.touch("gate");
    eventually("both are done", || lab.step_is("two", "succeeded"));
    lab.sandbox.stepwell(&["cancel", "last"]).ok();
    lab.submit(&[]);
    eventually("it ran again", || lab.step_is("two", "succeeded"));
    assert_eq!(lab.explain("two")["code"], "never_reused");
}

#[test]
fn an_engine_for_one_run_leaves_another_to_the_process_that_waits_for_it() {
    let lab = Lab::new(COUNTER);
    lab.submit(&["--name", "other"]);
    lab.sandbox.stepwell(&["pause", "other"]).ok();
    let mut run = lab.sandbox.start(&["run", "w.toml"]);
    eventually("a checkpoint", || lab.sandbox.query_count("checkpoint") > 0);
    lab.sandbox.stepwell(&["resume", "other", "--detach"]).exits(2).says(&["drives run", "only"]);
    let resume = lab.sandbox.command(&["resume", "other"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(lab.ran("before"), 1, "it waits for its turn");
    lab.touch("gate");
    assert!(run.wait().unwrap().success());
    let resume = crate::harness::Finished::from(resume.wait_with_output().unwrap());
    resume.ok().says(&["starts here when that process ends", "this process drives run"]);
    assert_eq!(lab.ran("before"), 2);
}

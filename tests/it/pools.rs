//! Shared devices, budgets and alerts, with real processes.

use std::time::Duration;

use crate::harness::{Sandbox, eventually, read};

/// Every step checks that no other uses its device, and records the device.
const SHARED: &str = r#"
name = "shared"
[[step]]
id = "each"
kind = "command"
for_each = "range(8)"
resources = { gpu = 1, memory = "2GiB" }
with.shell = '''
f="$LAB/$STEPWELL_RESOURCE_GPU"
alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
if [ -e "$f" ] && alive "$(cat "$f")"; then echo "$STEPWELL_RESOURCE_GPU" >> "$LAB/violations"; fi
echo $$ > "$f"
echo "$STEPWELL_RESOURCE_GPU $CUDA_VISIBLE_DEVICES $STEPWELL_RESOURCE_MEMORY" >> "$LAB/had"
while [ ! -e "$LAB/go" ]; do sleep 0.02; done
sleep 0.1
rm -f "$f"
'''
"#;

#[test]
fn devices_are_not_shared_and_do_not_leak_with_a_killed_engine() {
    let lab = Sandbox::new();
    lab.write("w.toml", SHARED);
    lab.write("stepwell.toml", "slots = 6\n[pools]\ngpu = [\"gpu:3\", \"gpu:7\"]\nmemory = \"64GiB\"\n");
    let mut engine = lab.command(&["run", "w.toml"]).env("LAB", lab.dir.path()).spawn().unwrap();
    for round in 1..=3 {
        eventually("both devices are in use", || read(&lab.path("had")).lines().count() == 2 * round);
        engine.kill().unwrap();
        engine.wait().unwrap();
        if round < 3 {
            engine = lab.command(&["resume", "last"]).env("LAB", lab.dir.path()).spawn().unwrap();
        }
    }
    lab.write("go", "");
    let mut resume = lab.command(&["resume", "last"]);
    assert!(resume.env("LAB", lab.dir.path()).status().unwrap().success());
    assert_eq!(read(&lab.path("violations")), "");
    let had = read(&lab.path("had"));
    assert!(had.lines().all(|line| ["gpu:3 3 2147483648", "gpu:7 7 2147483648"].contains(&line)), "{had}");
    assert!(["gpu:3", "gpu:7"].iter().all(|gpu| had.contains(gpu)), "both were used:\n{had}");
    assert_eq!(lab.query("SELECT count(*) FROM step WHERE resources IS NOT NULL"), ["0"]);
    lab.stepwell(&["db", "check"]).ok();
    let doctor = lab.stepwell(&["doctor"]).ok();
    assert!(doctor.stdout.contains("gpu = gpu:3 gpu:7, memory = 64GiB"), "{}", doctor.stdout);
}

#[test]
fn a_step_that_waits_for_a_device_says_who_holds_it() {
    let lab = Sandbox::new();
    let step = |id: &str| {
        format!(
            "[[step]]\nid = \"{id}\"\nkind = \"command\"\nresources = {{ gpu = 1 }}\nwith.argv = [\"sleep\", \"600\"]\n"
        )
    };
    lab.write("w.toml", format!("name = \"w\"\n{}{}", step("first"), step("second")));
    lab.write("stepwell.toml", "slots = 4\n[pools]\ngpu = [\"gpu:0\"]\n");
    let mut engine = lab.start(&["run", "w.toml"]);
    eventually("a step runs", || lab.query_count("step WHERE status = 'running'") == 1);
    let why = lab.stepwell(&["explain", "last", "second"]).ok().stdout;
    assert!(why.contains("waits for 1 of gpu (0 free): held by run w-1, step first"), "{why}");
    lab.stepwell(&["cancel", "last"]).ok();
    engine.wait().unwrap();
}

/// Counts from its checkpoint until it may end, or until nothing has stopped it for a long time.
const COUNTING: &str = r#"
name = "counting"
[budget]
maximum_compute = "1s"
[[step]]
id = "count"
kind = "command"
timeout.heartbeat = "3s"
with.shell = '''
cd "$STEPWELL_CHECKPOINT_DIR"
n=$(cat last/n 2>/dev/null || echo 0)
echo "from $n" >> "$LAB/starts"
while [ ! -e "$LAB/enough" ] && [ $n -lt 400 ]; do
  n=$((n + 1)); sleep 0.05
  mkdir next && echo "$n" > next/n && touch next.ready
  while [ -e next.ready ]; do sleep 0.01; done
done
'''
"#;

#[test]
fn a_budget_pauses_the_run_once_and_a_higher_one_goes_on_from_the_checkpoint() {
    let lab = Sandbox::new();
    lab.write("w.toml", COUNTING);
    lab.write(
        "stepwell.toml",
        "[alerts]\ncommand = [\"sh\", \"-c\", 'echo \"$STEPWELL_ALERT $STEPWELL_RUN_NAME\" >> alerts']\n",
    );
    let alerts = || lab.query_count("event WHERE kind = 'run_alerted'");
    let run =
        |args: &[&str]| crate::harness::Finished::from(lab.command(args).env("LAB", lab.dir.path()).output().unwrap());
    run(&["run", "w.toml"]).exits(130).says(&["alert: the budget of 1 s of compute is used up"]);
    assert_eq!(lab.query("SELECT status FROM run"), ["paused"]);
    assert_eq!(alerts(), 1);
    let shown = lab.stepwell(&["show", "last", "--output", "json"]).ok().json();
    assert_eq!(shown["effort"]["alerts"][0]["alert"], "budget_exhausted");
    assert!(shown["effort"]["compute_seconds"].as_f64().unwrap() >= 1.0, "{shown}");
    let listed = lab.stepwell(&["list", "--output", "json"]).ok().json();
    assert_eq!(listed["runs"][0]["alerts"][0], "budget_exhausted");

    lab.write("enough", "");
    run(&["resume", "last", "--maximum-compute", "10m"]).ok();
    assert_eq!(lab.query("SELECT status FROM run"), ["succeeded"]);
    assert_eq!(alerts(), 1, "said once");
    assert_eq!(lab.query_count("event WHERE kind = 'run_budget_raised'"), 1);
    let starts = read(&lab.path("starts"));
    let (first, second) = starts.trim().split_once('\n').unwrap();
    assert!(first == "from 0" && second != "from 0", "the checkpoint was kept:\n{starts}");
    eventually("the alert command was started", || read(&lab.path("alerts")) == "budget_exhausted counting-1\n");
    lab.stepwell(&["db", "check"]).ok();
}

#[test]
fn child_runs_use_up_the_budget_of_their_parent_and_stop_with_it() {
    let lab = Sandbox::new();
    let child = COUNTING.replace("[budget]\nmaximum_compute = \"1s\"\n", "").replace("counting", "child");
    lab.write("child.toml", &child);
    let parent = |budget: &str| {
        format!(
            "name = \"parent\"\n{budget}[[step]]\nid = \"each\"\nkind = \"workflow\"\nfor_each = \"range(2)\"\nwith = {{ workflow = \"child.toml\" }}\n"
        )
    };
    // The grandparent has the budget.
    lab.write("middle.toml", parent("").replace("\"parent\"", "\"middle\""));
    let top = parent("[budget]\nmaximum_compute = \"1s\"\n").replace("child.toml", "middle.toml");
    lab.write("w.toml", top.replace("range(2)", "range(1)"));
    let run =
        |args: &[&str]| crate::harness::Finished::from(lab.command(args).env("LAB", lab.dir.path()).output().unwrap());
    let alerts = || lab.query_count("event WHERE kind = 'run_alerted'");
    run(&["run", "w.toml"]).exits(130).says(&["alert: the budget of 1 s of compute is used up"]);
    assert_eq!(lab.query("SELECT DISTINCT status FROM run"), ["paused"]);
    assert_eq!((lab.query_count("run"), alerts()), (4, 1));
    let shown = lab.stepwell(&["show", "parent", "--output", "json"]).ok().json();
    assert!(shown["effort"]["compute_seconds"].as_f64().unwrap() >= 1.0, "{shown}");

    // The next engine still counts the used compute, even one for a child alone.
    let attempts = lab.query_count("attempt");
    for paused in ["parent", "parent-1.each[0].each[1]"] {
        run(&["resume", paused]).exits(130);
        assert_eq!((lab.query_count("attempt"), alerts()), (attempts, 1), "after `resume {paused}`");
    }
    lab.write("enough", "");
    run(&["resume", "parent", "--maximum-compute", "10m"]).ok();
    assert_eq!(lab.query("SELECT DISTINCT status FROM run"), ["succeeded"]);
    assert_eq!(lab.query_count("run"), 4);
    let starts = read(&lab.path("starts"));
    assert_eq!(starts.matches("from 0\n").count(), 2, "the checkpoints were kept:\n{starts}");
    lab.stepwell(&["db", "check"]).ok();
}

#[test]
fn progress_inside_a_step_becomes_an_estimate_and_a_late_one_alerts_once_over_restarts() {
    let lab = Sandbox::new();
    lab.write(
        "w.toml",
        r#"
name = "slow"
[sla]
finish_within = "30m"
[[step]]
id = "work"
kind = "command"
timeout.heartbeat = "3s"
with.shell = "n=0; while true; do n=$((n + 1)); echo $n 1000000 pages > $STEPWELL_PROGRESS; sleep 0.1; done"
"#,
    );
    let alerts = || lab.query_count("event WHERE kind = 'run_alerted'");
    for round in 0..2 {
        let mut engine =
            lab.start(&[if round == 0 { "run" } else { "resume" }, if round == 0 { "w.toml" } else { "last" }]);
        // The next engine clears the progress that a killed one left in the row, and measures again.
        eventually("the attempt runs", || lab.query_count("attempt") == round + 1);
        eventually("the step's progress is stored and estimated", || {
            lab.show()["effort"]["estimated_seconds_left"].as_f64().is_some_and(|left| left > 1800.0)
        });
        eventually("the deadline is at risk", || alerts() == 1);
        std::thread::sleep(Duration::from_millis(1500));
        engine.kill().unwrap();
        engine.wait().unwrap();
    }
    assert_eq!(alerts(), 1, "said once, also by the next engine");
    lab.stepwell(&["cancel", "last"]).ok();
}

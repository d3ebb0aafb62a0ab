//! `stepwell chaos` on workflows that keep the contract and on workflows that cannot.

use crate::harness::Sandbox;

/// Counts to 30 with a checkpoint at every fifth number, and writes EXTRA beside the result.
const COUNT: &str = r#"
name = "count"
[[step]]
id = "count"
kind = "command"
retry = { maximum_attempts = 50, initial_interval = "10ms", maximum_interval = "20ms" }
[step.with]
shell = """
cd "$STEPWELL_CHECKPOINT_DIR"
n=$(cat last/n 2>/dev/null || echo 0)
while [ "$n" -lt 30 ]; do
  n=$((n + 1)); sleep 0.02
  if [ $((n % 5)) = 0 ]; then
    mkdir next; echo "$n" >next/n; echo "{\\"last_step\\": $n}" >marker; mv marker next.ready
    while [ -e next.ready ]; do sleep 0.01; done
  fi
done
echo "$n" EXTRA >"$STEPWELL_OUTPUT_DIR/n"
"""
outputs = { n = "n" }
[[step]]
id = "copy"
kind = "command"
with = { shell = "cp $N \"$STEPWELL_OUTPUT_DIR/n\"", env = { N = "{{ steps.count.outputs.n }}" }, outputs = { n = "n" } }
"#;

fn sandbox(extra: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("count.toml", COUNT.replace("EXTRA", extra));
    sandbox
}

#[test]
fn a_workflow_that_keeps_the_contract_passes() {
    let sandbox = sandbox("");
    let report =
        sandbox.stepwell(&["chaos", "count.toml", "--kills", "6", "--seed", "7", "--output", "json"]).ok().json();
    assert_eq!((&report["passed"], &report["kills"]), (&true.into(), &6.into()), "{report}");
    for count in [
        "lost_events",
        "repeated_commits",
        "orphan_processes",
        "different_outputs",
        "rewinds_behind_a_checkpoint",
        "failed_rounds",
    ] {
        assert_eq!(report[count], 0, "{report}");
    }
    assert!(report["attempts"].as_u64().unwrap() > 2, "kills lead to new attempts: {report}");
}

#[test]
fn an_output_that_is_not_reproducible_is_found() {
    let sandbox = sandbox("$(date +%N)");
    let failed = sandbox.stepwell(&["chaos", "count.toml", "--kills", "1", "--dir", "."]).exits(3);
    assert!(failed.stdout.contains("different: output count/n"), "{}", failed.stdout);
}

/// The process leaves its group and clears its environment, so nothing identifies it once its worker is dead.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_outlives_its_worker_is_an_orphan() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "escape.toml",
        "name = \"escape\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"env -i setsid sleep 30 & sleep 1\"\n",
    );
    let failed = sandbox.stepwell(&["chaos", "escape.toml", "--kills", "4", "--target", "worker", "--output", "json"]);
    let report = failed.exits(3).json();
    // Only some kills orphan a process: one may come before the step has started.
    assert_eq!(report["passed"], false, "{report}");
    assert!(report["orphan_processes"].as_u64().unwrap() > 0, "{report}");
}

/// Every attempt after the first fails.
#[test]
fn a_run_that_does_not_get_to_its_end_fails_the_drill() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "broken.toml",
        "name = \"broken\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = { maximum_attempts = 1 }\nwith.shell = \"[ $STEPWELL_ATTEMPT = 1 ] && sleep 1\"\n",
    );
    let failed = sandbox.stepwell(&["chaos", "broken.toml", "--kills", "20", "--target", "all", "--output", "json"]);
    let report = failed.exits(3).json();
    assert_eq!((&report["passed"], &report["failed_rounds"]), (&false.into(), &1.into()), "{report}");
    assert!(report["findings"][0].as_str().unwrap().starts_with("failed: "), "{report}");
}

#[test]
fn a_workflow_that_is_wrong_is_refused_before_anything_runs() {
    let sandbox = sandbox("");
    sandbox.stepwell(&["chaos", "count.toml", "-S", "nothing=1"]).exits(2);
}

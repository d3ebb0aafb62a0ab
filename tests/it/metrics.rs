//! Series: what programs report, and the verbs that show it.

use serde_json::Value;

use crate::harness::{Sandbox, eventually};
#[cfg(target_os = "linux")]
use crate::harness::{children, kill_with_workers, signal};

/// Counts to LIMIT and reports a number per step, before it saves how far it is.
const COUNTER: &str = r#"
name = "counter"
[params]
word = "x"
limit = 12
[[step]]
id = "count"
kind = "command"
retry = { initial_interval = "10ms", maximum_attempts = 50 }
with.env = { LIMIT = "{{ params.limit }}", WORD = "{{ params.word }}" }
with.shell = '''
n=$(cat n 2>/dev/null || echo 0)
while [ $n -lt $LIMIT ]; do
  n=$((n + 1))
  echo "{\"step\": $n, \"loss\": 0.$((1000 + n)), \"pid\": $STEPWELL_ATTEMPT}" >> "$STEPWELL_METRICS"
  [ $((n % 10)) = 0 ] && echo "{\"step\": $n, \"val/loss\": $n}" >> "$STEPWELL_METRICS"
  echo $n > now && mv now n
  sleep 0.02
done
'''
"#;

/// Counts in threes with checkpoints, and reports after each of them.
const FORKED: &str = r#"
name = "forked"
[params]
word = 1
[[step]]
id = "count"
kind = "command"
with.env = { WORD = "{{ params.word }}" }
with.shell = '''
cd "$STEPWELL_CHECKPOINT_DIR"
n=$(cat last/n 2>/dev/null || echo 0)
while [ $n -lt 12 ]; do
  n=$((n + 1)); echo "{\"step\": $n, \"loss\": $WORD}" >> "$STEPWELL_METRICS"
  if [ $((n % 3)) = 0 ]; then
    mkdir next; echo $n > next/n; echo "{\"last_step\": $n, \"loss\": 0.5}" > marker; mv marker next.ready
    while [ -e next.ready ]; do sleep 0.01; done
  fi
done
'''
"#;

fn lab(workflow: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", workflow);
    sandbox
}

/// Cells of the CSV by row, without the run's id.
fn csv(sandbox: &Sandbox, args: &[&str]) -> Vec<Vec<String>> {
    let text = sandbox.stepwell(&[&["metrics", "--csv"], args].concat()).ok().stdout;
    text.lines().map(|line| line.split(',').skip(1).map(str::to_owned).collect()).collect()
}

fn column(rows: &[Vec<String>], name: &str) -> Vec<String> {
    let column = rows[0].iter().position(|cell| cell == name).unwrap_or_else(|| panic!("no {name} in {:?}", rows[0]));
    rows[1..].iter().map(|row| row[column].clone()).collect()
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Whatever is killed, every row is there once, although the program reports far more often than the engine commits.
#[cfg(target_os = "linux")]
#[test]
fn rows_of_a_command_survive_kills_of_all_processes() {
    let sandbox = lab(COUNTER);
    let count = || std::fs::read_to_string(glob(&sandbox, "n")).ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    let mut engine = sandbox.start(&["run", "w.toml", "-S", "limit=200"]);
    for reach in [20, 55, 90, 130, 165] {
        eventually("it counts on", || count() >= reach);
        if reach == 55 {
            children(engine.id()).into_iter().for_each(|worker| signal(worker, "KILL"));
        } else {
            kill_with_workers(&mut engine);
            engine = sandbox.start(&["resume", "last"]);
        }
    }
    assert!(engine.wait().unwrap().success());
    let rows = csv(&sandbox, &[]);
    assert_eq!(column(&rows, "train_step"), numbers(1..=200));
    let expected: Vec<String> = (1..=200).map(|n| format!("0.{}", 1000 + n)).collect();
    let plain = |cells: Vec<String>| {
        cells.iter().map(|cell| format!("{:.4}", cell.parse::<f64>().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(plain(column(&rows, "loss")), expected);
    let validated = column(&rows, "val/loss").into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>();
    assert_eq!(validated, (1..=20).map(|n| (10 * n).to_string()).collect::<Vec<_>>());
    sandbox.stepwell(&["db", "check"]).ok();
    let written = event_rows(&sandbox, "count");
    assert_eq!(written.iter().map(|row| row.train_step).collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
    let numbers = |tag: &str| written.iter().flat_map(|row| &row.values).filter(|(name, _)| name == tag).count();
    assert_eq!((numbers("train/loss"), numbers("val/loss")), (200, 20));
}

/// The rows of the only event folder of a step.
#[cfg(target_os = "linux")]
fn event_rows(sandbox: &Sandbox, step: &str) -> Vec<stepwell_tensorboard::Row> {
    let found = walkdir::WalkDir::new(sandbox.state().join("tensorboard")).into_iter().flatten();
    let mut found = found.filter(|entry| entry.file_name() == step && entry.file_type().is_dir());
    let folder = found.next().expect("a folder of event files").into_path();
    let folder = stepwell_tensorboard::Folder::open(&folder, stepwell_tensorboard::Heading::default()).unwrap();
    folder.rows().map(Result::unwrap).collect()
}

/// The file of the step's working directory.
#[cfg(target_os = "linux")]
fn glob(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let found = walkdir::WalkDir::new(sandbox.state().join("runs")).into_iter().flatten();
    let mut found = found.filter(|entry| entry.file_name() == name && entry.file_type().is_file());
    found.next().map(walkdir::DirEntry::into_path).unwrap_or_default()
}

#[test]
fn a_line_that_cannot_be_used_stops_the_step_at_once() {
    let sandbox = lab(r#"
name = "w"
[[step]]
id = "a"
kind = "command"
with.shell = "echo '{\"step\": 1, \"loss\": 2}' >> $STEPWELL_METRICS; echo '{\"step\": 2, \"loss\": \"low\"}' >> $STEPWELL_METRICS; sleep 60"
"#);
    let failed = sandbox.stepwell(&["run", "w.toml"]).exits(3);
    failed.says(&["$STEPWELL_METRICS", "attempt-1.jsonl`), line 2: `loss` is text", "append one object per line"]);
    assert_eq!(sandbox.show()["steps"][0]["attempts"], 1);
    assert_eq!(column(&csv(&sandbox, &[]), "loss"), ["2"]);
}

#[test]
fn forks_start_with_the_rows_of_their_parents() {
    let sandbox = lab(FORKED);
    sandbox.stepwell(&["run", "w.toml", "--name", "base"]).ok();
    sandbox.stepwell(&["fork", "base", "--at", "count:9", "-S", "word=2", "--name", "child"]).ok();
    sandbox.stepwell(&["fork", "child", "--at", "count:12", "-S", "word=3", "--name", "same"]).ok();
    let rows = csv(&sandbox, &["child"]);
    assert_eq!(column(&rows, "train_step"), numbers(1..=12));
    assert_eq!(column(&rows, "loss").concat(), "111111111222");
    // A fork at the end of its parent reports nothing, and has the rows of two generations.
    assert_eq!(column(&csv(&sandbox, &["same"]), "loss").concat(), "111111111222");
    assert_eq!(column(&csv(&sandbox, &["same", "--last", "4"]), "loss").concat(), "1222");
    let json = sandbox.stepwell(&["metrics", "child", "--json"]).ok().json();
    assert_eq!(json["series"][0]["parts"][0]["up_to"], 9);
    assert_eq!(json["series"][0]["summary"]["loss"]["last"], 2.0);
    let text = sandbox.stepwell(&["metrics", "base", "child"]).ok().stdout;
    for word in ["word=1", "word=2, forked from base at count:9", "training step", "MINIMUM"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_step_may_follow_the_runs() {
    let sandbox = lab(FORKED);
    sandbox.stepwell(&["run", "w.toml", "--name", "base"]).ok();
    for args in [&["metrics", "base", "count"][..], &["metrics", "base", "--step", "count"], &["metrics"]] {
        let text = sandbox.stepwell(args).ok().stdout;
        assert!(text.starts_with("loss of count in run base\n"), "{text}");
    }
    sandbox.stepwell(&["metrics", "base", "nothing"]).exits(6).says(&["neither a run nor a step", "stepwell show"]);
    sandbox.stepwell(&["metrics", "base", "--step", "nothing"]).exits(6).says(&["no step `nothing`"]);
    sandbox.stepwell(&["metrics", "--metric", "los"]).exits(6).says(&["did you mean `loss`?"]);
    sandbox.stepwell(&["run", "w.toml", "--name", "count"]).ok();
    sandbox.stepwell(&["metrics", "base", "count"]).exits(2).says(&["a step and a run", "--step count"]);
}

#[test]
fn a_finished_run_tells_its_metrics_to_scripts() {
    let sandbox = lab(FORKED);
    let live = metric_lines(&sandbox.stepwell(&["run", "w.toml", "--output", "json"]).ok().stdout);
    assert_eq!(live.len(), 12);
    assert_eq!(live[11]["metric"], serde_json::json!({"train_step": 12, "loss": 1.0}));
    for verb in [&["watch", "--output", "json"][..], &["resume", "last", "--output", "json"]] {
        assert_eq!(metric_lines(&sandbox.stepwell(verb).ok().stdout), live, "{verb:?}");
    }
    sandbox.stepwell(&["logs", "last", "count"]).ok().says(&["has written no log", "`stepwell metrics last count`"]);
}

fn metric_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "metric").collect()
}

#[test]
fn checkpoints_are_listed_with_the_place_to_fork_at() {
    let sandbox = lab(FORKED);
    sandbox.stepwell(&["run", "w.toml", "--name", "base"]).ok();
    let text = sandbox.stepwell(&["checkpoints", "base"]).ok().stdout;
    for word in ["--at count:9", "--at count:12", "2 more are gone", "`stepwell fork --at count:12 base`"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("count:3"), "{text}");
    let json = sandbox.stepwell(&["checkpoints", "base", "count", "--all", "--output", "json"]).ok().json();
    let states: Vec<&str> =
        json["checkpoints"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["gone", "gone", "kept", "kept"]);
    let fork = json["checkpoints"][2]["fork"].as_str().unwrap();
    let words: Vec<&str> = fork.split(' ').skip(1).collect();
    sandbox.stepwell(&[&words[..], &["--name", "child"]].concat()).ok();
    let child = sandbox.stepwell(&["checkpoints", "child", "--output", "json"]).ok().json();
    assert_eq!(child["checkpoints"][0]["state"], "permanent");
    sandbox.stepwell(&["checkpoints", "base", "nothing"]).exits(6).says(&["no step `nothing`"]);
}

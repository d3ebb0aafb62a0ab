use serde_json::{Value, json};

use super::{one_step, page};
use crate::tests::lab::{Lab, Sketch};
use crate::view::extent::Extent;
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, Ruling, RunEvent, StepEventKind, Verdict};
use stepwell_run::project::{GitState, Project};
use stepwell_run::run_options::Origin;

const SEEDS: &str = r#"
name = "seeds"
[params]
learning_rate = 0.003
seeds = [1, 2, 3]
model = { layers = 2, width = 64 }
[[step]]
id = "prepare"
kind = "command"
with.argv = ["true"]
[[step]]
id = "train"
kind = "command"
needs = ["prepare"]
for_each = "params.seeds"
with.argv = ["train", "{{ item }}", "{{ params.learning_rate }}"]
[[step]]
id = "good"
kind = "gate"
needs = ["train"]
with = { rule = "x > 0", inputs = { x = "{{ params.learning_rate }}" } }
"#;

fn text(lab: &Lab, run: RunId, extent: Extent) -> String {
    let session = lab.session();
    let (text, _) = page(&session, &session.reader().unwrap(), run, extent).unwrap();
    // Hints name the state directory of the test.
    text.replace(&format!(" --state-dir={}", lab.path().display()), "")
}

/// Three seeds, of which the last one works, and a fork of an earlier run.
fn three_seeds(lab: &mut Lab) -> RunId {
    let base = lab.run(Sketch { name: "base", workflow: SEEDS, ..Sketch::default() });
    let origin = Some(Origin::Fork { run: base, at: "train".into(), train_step: Some(250) });
    let set = &[("learning_rate", "0.001"), ("model.layers", "4")];
    let git = GitState { commit: "0123456789abcdef".to_owned(), branch: Some("main".to_owned()), uncommitted: None };
    let project = Some(Project { git: Some(git), ..Project::new("/lab/seeds".into()) });
    let run = lab.run(Sketch { name: "wide", workflow: SEEDS, set, origin, project, ..Sketch::default() });
    lab.succeed(run, 1, "prepare", &json!({ "rows": 1200 }));
    lab.ready(run, 2, "train");
    lab.expand(run, 2, "train", vec![json!(1), json!(2), json!({ "lr": 0.1, "name": "wide" })]);
    lab.succeed(run, 3, "train[0]", &json!({ "val_loss": 2.125, "note": "a\nb" }));
    lab.fail(run, 5, "train[1]", "the command exited with code 1; its last lines:\nTraceback:\n  File \"x\"\nOops");
    lab.start(run, 7, "train[2]");
    run
}

#[test]
fn a_run_is_one_screen() {
    let mut lab = Lab::new();
    let run = three_seeds(&mut lab);
    lab.engine_dies();
    assert_eq!(
        format!("\n{}", text(&lab, run, Extent::Screen)),
        r#"
run       01a2b3c4-0002-7000-8000-000000020000
name      wide
workflow  seeds
origin    forked from base (00000001) at train:250
project   /lab/seeds at commit 0123456789ab (main)
status    interrupted
elapsed   9m 37s
time      9m 33s of work

PARAM          VALUE  DEFAULT
learning_rate  0.001  0.003
model.layers   4      2
1 more param has its default: `stepwell show --all wide`

STEP      KIND     STATUS       ATTEMPTS  TIME    ITEM              PROGRESS, VALUES
prepare   command  succeeded    1         1.0s
train     command  interrupted  0         9m 32s                    1 of 3 done, 1 failed
train[0]  command  succeeded    1         1.0s    1                 note=a\nb val_loss=2.125
train[1]  command  failed       1         1.0s    2                 the command exited with code 1; its last lines: Oops
train[2]  command  interrupted  1         9m 30s  lr=0.1,name=wide
good      gate     pending      0

STEP     GAVE         CONTENT
prepare  values.rows  1200
"#
    );
}

#[test]
fn a_decision_of_a_rule_passes() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "base", workflow: SEEDS, ..Sketch::default() });
    lab.succeed(run, 1, "prepare", &json!({}));
    lab.ready(run, 2, "train");
    lab.expand(run, 2, "train", vec![]);
    lab.ready(run, 2, "good");
    let ruling = |verdict, approver: Option<&str>| StepEventKind::Decided {
        ruling: Ruling {
            rule: "x > 0".to_owned(),
            inputs: Value::Null,
            verdict,
            approver: approver.map(str::to_owned),
            comment: None,
        },
    };
    let decided =
        [ruling(Verdict::Approved, None), ruling(Verdict::Rejected, None), ruling(Verdict::Approved, Some("ada"))];
    lab.commit(run, 3, decided.map(|kind| kind.of("good".into())));
    let text = text(&lab, run, Extent::Screen);
    let verdicts: Vec<&str> = text.lines().filter(|line| line.starts_with("good") && line.contains("x > 0")).collect();
    assert_eq!(
        format!("\n{}", verdicts.join("\n")),
        r#"
good      2026-11-30 05:01:03Z  passed      the rule  x > 0
good      2026-11-30 05:01:03Z  not passed  the rule  x > 0
good      2026-11-30 05:01:03Z  approved    ada       x > 0"#
    );
}

#[test]
fn an_old_run_shows_all_params() {
    let mut lab = Lab::new();
    let set = &[("learning_rate", "0.001")];
    let run = lab.run(Sketch { name: "old", workflow: SEEDS, set, is_old: true, ..Sketch::default() });
    let text = text(&lab, run, Extent::Screen);
    let params = text.split("\n\n").nth(1).unwrap();
    assert_eq!(
        format!("\n{params}"),
        r#"
PARAM          VALUE
learning_rate  0.001
model.layers   2
model.width    64
seeds          [1,2,3]"#
    );
    let new = lab.run(Sketch { name: "new", workflow: SEEDS, ..Sketch::default() });
    let text = self::text(&lab, new, Extent::Screen);
    assert_eq!(text.split("\n\n").nth(1).unwrap(), "3 params have their defaults: `stepwell show --all new`");
    let text = self::text(&lab, new, Extent::All);
    assert_eq!(
        format!("\n{}", text.split("\n\n").nth(1).unwrap()),
        r#"
PARAM          VALUE    DEFAULT
learning_rate  0.003
model.layers   2
model.width    64
seeds          [1,2,3]"#
    );
}

#[test]
fn ten_thousand_items_are_one_screen_with_the_failed_one() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "many", workflow: SEEDS, ..Sketch::default() });
    lab.succeed(run, 1, "prepare", &json!({}));
    lab.ready(run, 2, "train");
    lab.expand(run, 2, "train", (0..10_000).map(|n| json!(format!("data/{n}.txt"))).collect());
    lab.fail(run, 3, "train[7777]", "no such file");
    lab.start(run, 5, "train[9000]");
    let text = text(&lab, run, Extent::Screen);
    assert!(text.lines().count() < 45, "{text}");
    assert!(text.contains("data/7777.txt  no such file"), "{text}");
    assert!(text.contains("train[9000]"), "{text}");
    assert!(text.contains("and 9980 more items of train (9980 ready): `stepwell show --all many`"), "{text}");
    assert!(self::text(&lab, run, Extent::All).lines().count() > 10_000);
}

#[test]
fn one_step_has_everything() {
    let mut lab = Lab::new();
    let run = three_seeds(&mut lab);
    let reader = lab.session().reader().unwrap();
    let shown = |step: &str| {
        let step = reader.step(run, &reader.resolve_step(run, step).unwrap()).unwrap();
        let works = step.item_index == Some(2);
        let usage = if works { "1.9 cores, 300 MiB memory".to_owned() } else { String::new() };
        let notes = works.then(|| "continues with half".to_owned()).into_iter().collect();
        let measured = one_step::Measured { time: "1.0s".to_owned(), usage, chosen: Vec::new(), notes };
        one_step::text(&reader.run(run).unwrap(), &step, &measured)
    };
    assert_eq!(
        format!("\n{}", shown("train[lr=0.1]")),
        r#"
step      train[2]
run       wide (00000002)
item      lr=0.1,name=wide
kind      command
status    running
attempts  1
time      1.0s
uses      1.9 cores, 300 MiB memory
note      continues with half

ARGUMENT  VALUE
argv      ["true"]
"#
    );
    assert_eq!(
        format!("\n{}", shown("train[1]")),
        r#"
step      train[1]
run       wide (00000002)
item      2
kind      command
status    failed
attempts  1
time      1.0s
failure   step `train[1]`: the command exited with code 1; its last lines:
          Traceback:
            File "x"
          Oops

ARGUMENT  VALUE
argv      ["true"]
"#
    );
    let values = shown("train[0]");
    assert!(values.contains("values.val_loss  2.125") && values.contains(r"values.note      a\nb"), "{values}");
}

#[test]
fn a_fan_out_and_an_attempt_have_the_words_of_people() {
    let mut lab = Lab::new();
    let run = three_seeds(&mut lab);
    let statuses = |lab: &Lab| -> Vec<String> {
        let text = text(lab, run, Extent::Screen);
        let rows = text.lines().filter(|line| line.starts_with("train"));
        rows.map(|row| row.split_whitespace().nth(2).unwrap().to_owned()).collect()
    };
    assert_eq!(statuses(&lab), ["running", "succeeded", "failed", "running"]);
    lab.commit(run, 9, [Event::Run(RunEvent::Interrupted { reason: "Ctrl-C".to_owned() })]);
    assert_eq!(statuses(&lab), ["interrupted", "succeeded", "failed", "interrupted"]);
}

use serde_json::json;

use super::collect::{Compared, collect};
use super::json as json_of;
use super::text::text;
use crate::tests::lab::{Lab, Sketch};
use crate::view::extent::Extent;
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, RunEvent};
use stepwell_run::run_options::Origin;

const TRAIN: &str = r#"
name = "small"
[params]
learning_rate = 0.003
seed = 1
model = { layers = 2, width = 64 }
[[step]]
id = "train"
kind = "command"
with.argv = ["train"]
[[step]]
id = "each"
kind = "command"
for_each = "range(2)"
with.argv = ["train"]
"#;

fn trained(lab: &mut Lab, name: &str, set: &[(&str, &str)], loss: f64, origin: Option<Origin>) -> RunId {
    let run = lab.run(Sketch { name, workflow: TRAIN, set, origin, ..Sketch::default() });
    lab.start(run, 1, "train");
    lab.metric(run, "train", 100, loss + 1.0);
    lab.metric(run, "train", 300, loss);
    let outputs = stepwell_base::artifact::Outputs {
        values: json!({ "loss": loss, "host": "a" }).as_object().unwrap().clone(),
        ..Default::default()
    };
    let succeeded = stepwell_run::event::StepEventKind::Succeeded { outputs };
    lab.commit(run, 3, [succeeded.under("train".into(), stepwell_base::ids::Fence(1))]);
    lab.expand(run, 4, "each", vec![json!(format!("{name}.txt")), json!("b.txt")]);
    lab.succeed(run, 5, "each[1]", &json!({ "rows": 3 }));
    lab.commit(run, 9, [Event::Run(RunEvent::Canceled)]);
    run
}

fn compared(lab: &Lab, runs: &[RunId]) -> Compared {
    collect(&lab.session().reader().unwrap(), runs).unwrap()
}

#[test]
fn two_runs_are_side_by_side() {
    let mut lab = Lab::new();
    let base = trained(&mut lab, "base", &[], 2.5, None);
    let origin = Some(Origin::Rerun { run: base, from_step: "train".into() });
    let wide = trained(&mut lab, "wide", &[("learning_rate", "0.001"), ("model.layers", "4")], 2.25, origin);
    let compared = compared(&lab, &[base, wide]);
    assert_eq!(
        format!("\n{}", text(&compared, Extent::Screen)),
        r#"
run                       base                  wide
id                        00000001              00000002
workflow                  small                 small
status                    canceled              canceled
created                   2026-11-30 05:01:00Z  2026-11-30 05:02:00Z
time                      3.0s                  3.0s
origin                                          rerun of base (00000001) from step train

DIFFERING PARAMS
learning_rate             0.003                 0.001
model.layers              2                     4

VALUES
train.loss                2.5                   2.25
and 2 more, with `--all`

LAST METRICS
train.step                300                   300
train.loss                2.5                   2.25 *                                    lower is better
train.tokens              76800                 76800
train.tokens_per_second   1000                  1000
"#
    );
    let value = json_of(&compared);
    assert_eq!(value["differing_params"], json!({ "learning_rate": [0.003, 0.001], "model.layers": [2, 4] }));
    let loss = json!({ "step": "train", "name": "loss", "better": "lower", "values": [2.5, 2.25] });
    assert!(value["metrics"].as_array().unwrap().contains(&loss), "{value}");
    assert_eq!(value["runs"][1]["changed_params"]["learning_rate"], 0.001);
}

#[test]
fn many_runs_are_rows() {
    let mut lab = Lab::new();
    let runs: Vec<RunId> = (0..6)
        .map(|n| trained(&mut lab, &format!("r{n}"), &[("seed", &*n.to_string())], 3.0 - f64::from(n) / 4.0, None))
        .collect();
    assert_eq!(
        format!("\n{}", text(&compared(&lab, &runs), Extent::Screen)),
        r#"
RUN            STATUS    TIME  SEED  TRAIN.LOSS
r0 (00000001)  canceled  3.0s  0     3
r1 (00000002)  canceled  3.0s  1     2.75
r2 (00000003)  canceled  3.0s  2     2.5
r3 (00000004)  canceled  3.0s  3     2.25
r4 (00000005)  canceled  3.0s  4     2
r5 (00000006)  canceled  3.0s  5     1.75
"#
    );
}

#[test]
fn a_run_without_a_step_has_a_dash() {
    let mut lab = Lab::new();
    let base = trained(&mut lab, "base", &[], 2.5, None);
    let new = lab.run(Sketch { name: "new", workflow: TRAIN, ..Sketch::default() });
    let text = text(&compared(&lab, &[new, base]), Extent::Screen);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert_eq!(line("train.loss").split_whitespace().collect::<Vec<_>>()[1..3], ["-", "2.5"]);
    assert!(!text.contains("PARAMS"), "{text}");
}

#[test]
fn what_no_run_reports_has_no_row_and_a_pruned_run_is_told() {
    let mut lab = Lab::new();
    let base = lab.run(Sketch { name: "base", workflow: TRAIN, ..Sketch::default() });
    let gone = lab.run(Sketch { name: "gone", workflow: TRAIN, ..Sketch::default() });
    for run in [base, gone] {
        lab.start(run, 1, "train");
        lab.bare_metric(run, "train", 3, 2.5);
        lab.commit(run, 9, [Event::Run(RunEvent::Canceled)]);
    }
    lab.commit(gone, 10, [Event::Run(RunEvent::Pruned)]);
    let compared = compared(&lab, &[base, gone]);
    let text = text(&compared, Extent::Screen);
    assert!(text.contains("train.loss ") && text.contains("train.step "), "{text}");
    assert!(!text.contains("tokens"), "{text}");
    assert!(
        text.ends_with("run gone was removed on 2026-11-30 05:02:10Z: its values and metrics are gone\n"),
        "{text}"
    );
    assert!(super::text::text(&compared, Extent::All).contains("train.tokens "));
}

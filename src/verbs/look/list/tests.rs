use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::page::{Page, page};
use super::rows::{Columns, text};
use super::{ListArgs, json as json_of};
use crate::error::CliError;
use crate::tests::lab::{Lab, Sketch};
use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;
use stepwell_run::event::{Event, RunEvent};
use stepwell_run::status::RunStatus;
use stepwell_store::{Remark, Store};

const TRAIN: &str = r#"
name = "small"
[params]
learning_rate = 0.003
model = { layers = 2 }
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

fn page_of(lab: &Lab, args: &ListArgs) -> Result<Page, CliError> {
    let session = lab.session();
    page(&session, &session.reader().unwrap(), args)
}

fn shown(lab: &Lab, args: &ListArgs) -> String {
    let page = page_of(lab, args).unwrap();
    text(&page, &Columns::of(args, &page).unwrap(), &[])
}

fn names(lab: &Lab, args: &ListArgs) -> Vec<String> {
    page_of(lab, args).unwrap().runs.into_iter().map(|listed| listed.run.name).collect()
}

fn sort(key: &str) -> ListArgs {
    ListArgs { sort: Some(key.to_owned()), ..ListArgs::default() }
}

fn trained(lab: &mut Lab, name: &str, rate: &str, values: &Value) -> RunId {
    let set = &[("learning_rate", rate)];
    let run = lab.run(Sketch { name, workflow: TRAIN, set, ..Sketch::default() });
    lab.succeed(run, 1, "train", values);
    lab.expand(run, 2, "each", vec![json!(0), json!(1)]);
    lab.succeed(run, 3, "each[0]", &json!({ "score": values["loss"].as_f64().map(|loss| loss * 10.0) }));
    lab.succeed(run, 4, "each[1]", &json!({ "score": 7.5 }));
    lab.commit(run, 6, [Event::Run(RunEvent::Succeeded)]);
    run
}

fn four_runs() -> Lab {
    let mut lab = Lab::new();
    trained(&mut lab, "good", "0.003", &json!({ "loss": 0.5, "label": "b" }));
    trained(&mut lab, "none", "0.001", &json!({ "label": "a" }));
    trained(&mut lab, "bad", "0.1", &json!({ "loss": 2.25, "label": "c" }));
    lab.run(Sketch { name: "open", workflow: TRAIN, ..Sketch::default() });
    lab.engine_dies();
    lab
}

#[test]
fn a_sorted_list_has_the_value_and_the_params() {
    let lab = four_runs();
    let args = ListArgs { params: vec!["learning_rate".to_owned(), "model.layers".to_owned()], ..sort("train.loss") };
    assert_eq!(
        format!("\n{}", shown(&lab, &args)),
        r#"
RUN       NAME  WORKFLOW  STATUS       CREATED               TIME  TRAIN.LOSS  LEARNING_RATE  MODEL.LAYERS
00000001  good  small     succeeded    2026-11-30 05:01:00Z  3.0s  0.5         0.003          2
00000003  bad   small     succeeded    2026-11-30 05:03:00Z  3.0s  2.25        0.1            2
00000004  open  small     interrupted  2026-11-30 05:04:00Z  0.0s              0.003          2
00000002  none  small     succeeded    2026-11-30 05:02:00Z  3.0s              0.001          2
"#
    );
    assert_eq!(
        format!("\n{}", shown(&lab, &ListArgs::default())),
        r#"
RUN       NAME  WORKFLOW  STATUS       CREATED               TIME
00000004  open  small     interrupted  2026-11-30 05:04:00Z  0.0s
00000003  bad   small     succeeded    2026-11-30 05:03:00Z  3.0s
00000002  none  small     succeeded    2026-11-30 05:02:00Z  3.0s
00000001  good  small     succeeded    2026-11-30 05:01:00Z  3.0s
"#
    );
}

#[test]
fn runs_without_the_key_come_last_in_both_directions() {
    let lab = four_runs();
    let reverse = |key: &str| ListArgs { reverse: true, ..sort(key) };
    assert_eq!(names(&lab, &sort("train.loss")), ["good", "bad", "open", "none"]);
    assert_eq!(names(&lab, &reverse("train.loss")), ["bad", "good", "open", "none"]);
    assert_eq!(names(&lab, &sort("train.label")), ["none", "good", "bad", "open"]);
    assert_eq!(names(&lab, &sort("learning_rate")), ["none", "open", "good", "bad"], "equal ones: newest first");
    assert_eq!(names(&lab, &sort("params.learning_rate")), names(&lab, &sort("learning_rate")));
    assert_eq!(names(&lab, &reverse("created")), ["good", "none", "bad", "open"]);
    assert_eq!(names(&lab, &sort("name")), ["bad", "good", "none", "open"]);
    assert_eq!(names(&lab, &sort("each.score"))[0], "good", "the lowest item counts: 5.0 of 5.0 and 7.5");
    let page = page_of(&lab, &sort("each.score")).unwrap();
    assert_eq!(page.runs[0].sorted_by, Some(json!(5.0)));
}

#[test]
fn an_unknown_key_is_answered_with_the_right_one() {
    let lab = four_runs();
    let Err(error) = page_of(&lab, &sort("train.los")) else { panic!() };
    assert_eq!(error.message(), "no run has a value or a parameter `train.los` to sort by");
    assert_eq!(error.hints, ["did you mean `train.loss`?"]);
    let Err(error) = page_of(&lab, &sort("each.scores")) else { panic!() };
    assert_eq!(error.hints, ["did you mean `each.score`?"]);
    let args = ListArgs { params: vec!["lr".to_owned()], ..ListArgs::default() };
    let Err(error) = Columns::of(&args, &page_of(&lab, &args).unwrap()) else { panic!() };
    assert_eq!(error.hints, ["did you mean `learning_rate`?"]);
}

#[test]
fn filters_choose_runs() {
    let lab = four_runs();
    let of = |status| names(&lab, &ListArgs { status: vec![status], ..ListArgs::default() });
    assert_eq!(of(RunStatus::Interrupted), ["open"]);
    assert_eq!(of(RunStatus::Succeeded), ["bad", "none", "good"]);
    assert_eq!(of(RunStatus::Failed), Vec::<String>::new());
    let failed = ListArgs { status: vec![RunStatus::Failed], ..ListArgs::default() };
    assert_eq!(shown(&lab, &failed), "no run is like that: `stepwell list` shows all that were not removed");
    let other = ListArgs { workflow: Some("other".to_owned()), ..ListArgs::default() };
    assert_eq!(names(&lab, &other), Vec::<String>::new());
    let two = ListArgs { number: Some(2), ..ListArgs::default() };
    assert_eq!(names(&lab, &two), ["open", "bad"]);
    assert!(shown(&lab, &two).ends_with("\nand 2 more: `-n N` or `--all` shows them\n"));
}

#[test]
fn a_tag_chooses_runs_and_has_a_column() {
    let mut lab = Lab::new();
    let good = trained(&mut lab, "good", "0.003", &json!({ "loss": 0.5 }));
    trained(&mut lab, "bad", "0.1", &json!({ "loss": 2.25 }));
    let tags = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect::<BTreeSet<Tag>>();
    let mut store = Store::open(lab.session().state_dir()).unwrap();
    let remark = Remark::Tags { add: tags(&["best", "v2"]), remove: tags(&[]) };
    store.remark(good, &remark, "2026-11-30T05:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(
        format!("\n{}", shown(&lab, &ListArgs::default())),
        r#"
RUN       NAME  WORKFLOW  STATUS     CREATED               TIME  TAGS
00000002  bad   small     succeeded  2026-11-30 05:02:00Z  3.0s
00000001  good  small     succeeded  2026-11-30 05:01:00Z  3.0s  best, v2
"#
    );
    let of = |tag: &str| ListArgs { tag: Some(tag.parse().unwrap()), ..ListArgs::default() };
    assert_eq!(names(&lab, &of("v2")), ["good"]);
    assert_eq!(names(&lab, &of("other")), Vec::<String>::new());
    let args = of("v2");
    assert_eq!(json_of(&page_of(&lab, &args).unwrap(), &args, &[])["runs"][0]["tags"], json!(["best", "v2"]));
}

#[test]
fn kept_runs_are_marked_and_found() {
    let mut lab = Lab::new();
    let good = trained(&mut lab, "good", "0.003", &json!({ "loss": 0.5 }));
    trained(&mut lab, "bad", "0.1", &json!({ "loss": 2.25 }));
    Store::open(lab.path()).unwrap().remark(good, &Remark::Keep, "2026-11-30T05:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(
        format!("\n{}", shown(&lab, &ListArgs::default())),
        r#"
RUN       NAME  WORKFLOW  STATUS     CREATED               TIME  KEPT
00000002  bad   small     succeeded  2026-11-30 05:02:00Z  3.0s
00000001  good  small     succeeded  2026-11-30 05:01:00Z  3.0s  yes
"#
    );
    assert_eq!(names(&lab, &ListArgs { kept: true, ..ListArgs::default() }), ["good"]);
}

#[test]
fn a_value_without_its_step_is_enough_if_one_step_has_it() {
    let lab = four_runs();
    assert_eq!(names(&lab, &sort("loss")), names(&lab, &sort("train.loss")));
    assert_eq!(names(&lab, &sort("score")), names(&lab, &sort("each.score")));
    let mut lab = Lab::new();
    let run = trained(&mut lab, "both", "0.003", &json!({ "score": 0.5 }));
    lab.commit(run, 7, []);
    let Err(error) = page_of(&lab, &sort("score")) else { panic!() };
    assert_eq!(error.message(), "several steps have a value `score`");
    assert_eq!(error.hints, ["name one: `--sort train.score`, `--sort each.score`"]);
}

#[test]
fn json_has_the_params_that_were_set() {
    let lab = four_runs();
    let args = ListArgs { params: vec!["learning_rate".to_owned()], ..sort("train.loss") };
    let value = json_of(&page_of(&lab, &args).unwrap(), &args, &[]);
    let good = &value["runs"][0];
    assert_eq!(good["changed_params"], json!({}), "0.003 is the default");
    assert_eq!((&good["columns"], &good["sorted_by"]), (&json!({ "learning_rate": 0.003 }), &json!(0.5)));
    assert_eq!(value["runs"][1]["changed_params"], json!({ "learning_rate": 0.1 }));
    assert_eq!(value["runs"][3]["sorted_by"], Value::Null);
}

#[test]
fn a_thousand_runs_are_one_screen_and_quick() {
    let mut lab = Lab::new();
    for index in 0..1000 {
        let set = &[("learning_rate", &*format!("0.{:03}", index % 100 + 1))];
        let run = lab.run(Sketch { name: &format!("run {index}"), workflow: TRAIN, set, ..Sketch::default() });
        if index % 20 == 0 {
            lab.succeed(run, 1, "train", &json!({ "loss": f64::from(index) }));
            lab.commit(run, 6, [Event::Run(RunEvent::Succeeded)]);
        }
    }
    let start = Instant::now();
    let all = shown(&lab, &ListArgs::default());
    let best = shown(&lab, &ListArgs { params: vec!["learning_rate".to_owned()], ..sort("train.loss") });
    let took = start.elapsed();
    assert!(all.lines().count() <= 46, "{all}");
    assert!(best.lines().count() <= 24 && best.lines().nth(1).unwrap().contains("run 0"), "{best}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

use serde_json::json;
use stepwell_base::artifact::Outputs;
use stepwell_base::ids::Fence;
use stepwell_run::event::StepEventKind;

use super::*;
use crate::tests::lab::{Lab, Sketch};

#[test]
fn a_step_ends_at_its_slash_or_bracket() {
    for (text, step, name) in [
        ("a/out", "a", "out"),
        ("a/b/c", "a", "b/c"),
        ("a[1]/out", "a[1]", "out"),
        ("a[data/2.txt]/out", "a[data/2.txt]", "out"),
        ("a[x/y]/b/c[1]", "a[x/y]", "b/c[1]"),
        ("a/b[1]/c", "a", "b[1]/c"),
        ("a[x/y", "a[x", "y"),
        ("a.out", "a", "out"),
        ("a.outputs.out", "a", "out"),
        ("a/model.bin", "a", "model.bin"),
        ("a[2.txt].outputs.out", "a[2.txt]", "out"),
    ] {
        assert_eq!(split_step(text), Some((step, name)), "{text}");
    }
    for text in ["a[1]", "a", "a[2.txt]"] {
        assert_eq!(split_step(text), None, "{text}");
    }
}

const TWO: &str = r#"
name = "two"
[[step]]
id = "train"
kind = "command"
with = { argv = ["true"], outputs = { model = "m", log = "l" } }
[[step]]
id = "best"
kind = "command"
with = { argv = ["true"], outputs = { model = "m" } }
"#;

fn artifact(digit: &str) -> ArtifactRef {
    let digest = digit.repeat(64);
    serde_json::from_value(json!({ "digest": digest, "size": 1, "media_type": "text/plain" })).unwrap()
}

fn give(lab: &mut Lab, run: RunId, step: &str, names: &[(&str, &str)]) {
    lab.start(run, 1, step);
    let artifacts = names.iter().map(|(name, digit)| ((*name).to_owned(), artifact(digit))).collect();
    let outputs = Outputs { artifacts, ..Outputs::default() };
    lab.commit(run, 2, [StepEventKind::Succeeded { outputs }.under(step.into(), Fence(1))]);
}

#[test]
fn outputs_are_found_in_every_form_that_is_shown() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "base", workflow: TWO, ..Sketch::default() });
    give(&mut lab, run, "train", &[("model", "a"), ("log", "b")]);
    give(&mut lab, run, "best", &[("model", "c")]);
    let reader = lab.session().reader().unwrap();
    let digit = |digit: &str| artifact(digit).digest;
    for (selector, expected) in [
        ("base/train/model", "a"),
        ("last/best/model", "c"),
        ("train/log", "b"),
        ("train.outputs.log", "b"),
        ("base/train.log", "b"),
        ("base/best", "c"),
        ("best.model", "c"),
        ("bbbb", "b"),
    ] {
        assert_eq!(find_output(&reader, selector).unwrap().artifact.digest, digit(expected), "{selector}");
    }
    for (selector, message, hint) in [
        ("base", "run ID has 3 outputs", "there are `base/train/log`, `base/train/model`, `base/best/model`"),
        ("base/train", "run ID, step `train` has 2 outputs", "there are `base/train/log`, `base/train/model`"),
        (
            "base/train/modle",
            "run ID has no artifact `train/modle`",
            "did you mean `base/train/model`? `stepwell artifact ls base` lists all",
        ),
        (
            "base/train/weights",
            "run ID has no artifact `train/weights`",
            "there are `base/train/log`, `base/train/model`, `base/best/model`",
        ),
    ] {
        let error = find_output(&reader, selector).unwrap_err();
        assert_eq!(error.message(), message.replace("ID", &run.to_string()), "{selector}");
        assert_eq!(error.hints, [hint], "{selector}");
    }
}

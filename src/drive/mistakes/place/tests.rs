use super::*;
use crate::tests::lab::{Lab, Sketch};

const TWO: &str = r#"
name = "two"
[[step]]
id = "prepare"
kind = "command"
with.argv = ["true"]
[[step]]
id = "train"
kind = "command"
with.argv = ["true"]
"#;

#[test]
fn a_wrong_word_is_answered_with_the_command_that_was_meant() {
    let mut lab = Lab::new();
    lab.run(Sketch { name: "base", workflow: TWO, ..Sketch::default() });
    lab.run(Sketch { name: "newer", workflow: TWO, ..Sketch::default() });
    let session = lab.session();
    let hints = |run: &str, step: Option<&str>| {
        let error = Words { verb: "explain", run, step }.find(&session).map(|found| found.1).unwrap_err();
        error.hints.join("; ")
    };
    assert_eq!(hints("train", Some("base")), "the run comes first: `stepwell explain base train`");
    assert_eq!(hints("train", None), "`train` is a step; the run comes first: `stepwell explain newer train`");
    assert_eq!(hints("tarin", None), "`stepwell list` shows all runs");
    assert_eq!(hints("gone", Some("train")), "`stepwell list` shows all runs");
    assert_eq!(hints("base", Some("tarin")), "did you mean `train`?");
    assert_eq!(hints("base", Some("x")), "known steps: `prepare`, `train`");
    let found = Words { verb: "explain", run: "base", step: Some("train") }.find(&session).unwrap();
    assert_eq!(found.2, Some(StepId::from("train")));
}

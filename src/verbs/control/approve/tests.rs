use super::*;
use crate::tests::lab::{Lab, Sketch};
use stepwell_run::event::StepEventKind;

const TWO: &str = r#"
name = "two"
[[step]]
id = "a"
kind = "approval"
with.prompt = "A?"
[[step]]
id = "b"
kind = "approval"
with.prompt = "B?"
"#;

fn wait(lab: &mut Lab, run: RunId, step: &str) {
    lab.ready(run, 1, step);
    let wait = Wait::Approval { prompt: "?".to_owned(), inputs: serde_json::Value::Null };
    lab.commit(run, 1, [StepEventKind::Waiting { wait }.of(step.into())]);
}

#[test]
fn the_only_waiting_step_needs_no_name() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "base", workflow: TWO, ..Sketch::default() });
    let error = only_waiting(&lab.session().reader().unwrap(), run).unwrap_err();
    assert!(error.hints[0].starts_with("`stepwell explain "), "{:?}", error.hints);
    wait(&mut lab, run, "b");
    assert_eq!(only_waiting(&lab.session().reader().unwrap(), run).unwrap(), (run, StepId::from("b")));
    wait(&mut lab, run, "a");
    let error = only_waiting(&lab.session().reader().unwrap(), run).unwrap_err();
    assert_eq!(error.message(), format!("2 steps of run {run} wait for a person"));
    let hint = lab.session().out.pasteable(&error.hints[0]);
    let dir = lab.path().display();
    let approve = |step: &str| format!("`stepwell approve --state-dir={dir} base {step}`");
    assert_eq!(hint, format!("name one: {}, {}", approve("a"), approve("b")));
}

#[test]
fn without_a_run_all_questions_are_listed_with_their_answers() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "base", workflow: TWO, ..Sketch::default() });
    let told = |lab: &Lab| unnamed(&lab.session().reader().unwrap()).unwrap();
    assert_eq!(told(&lab).message(), "no step waits for a person");
    wait(&mut lab, run, "b");
    assert_eq!(told(&lab).message(), "1 step waits for a person: name the run");
    wait(&mut lab, run, "a");
    let error = told(&lab);
    assert_eq!(error.message(), "2 steps wait for a person: name the run");
    assert_eq!(error.hints, ["`stepwell approve base a` answers: ?", "`stepwell approve base b` answers: ?"]);
}

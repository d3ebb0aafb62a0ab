use super::*;
use crate::tests::lab::{Lab, Sketch};
use stepwell_base::ids::StepId;
use stepwell_run::event::{StepEventKind, Wait};

const TWO: &str = r#"
name = "two"
[[step]]
id = "a"
kind = "command"
with.argv = ["true"]
[[step]]
id = "ok"
kind = "approval"
with.prompt = "Ship?"
[[step]]
id = "later"
kind = "command"
needs = ["a"]
with.argv = ["true"]
"#;

fn told(lab: &Lab, run: RunId, step: &str) -> Vec<String> {
    let session = lab.session();
    let reader = session.reader().unwrap();
    let (row, spec, steps) = (reader.run(run).unwrap(), reader.spec(run).unwrap(), reader.steps(run).unwrap());
    let situation = Situation {
        reader: &reader,
        run: &row,
        spec: &spec,
        steps: &steps,
        engine: EngineLock::holder(session.state_dir()),
        family: vec![run],
        now: Timestamp::now(),
        limits: session.settings.limits(),
        slots: 1,
        compared: RefCell::default(),
    };
    let step = steps.iter().find(|row| row.id == StepId::from(step)).unwrap();
    waits::reasons(&situation, step).unwrap().into_iter().map(|reason| reason.message).collect()
}

#[test]
fn a_step_that_waits_without_an_engine_names_both_commands() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "base", workflow: TWO, ..Sketch::default() });
    lab.ready(run, 1, "a");
    lab.ready(run, 1, "ok");
    let wait = Wait::Approval { prompt: "Ship?".to_owned(), inputs: Value::Null };
    lab.commit(run, 2, [StepEventKind::Waiting { wait }.of("ok".into())]);
    let answer = "waits for a person: Ship?; `stepwell approve base ok` answers";
    assert_eq!(told(&lab, run, "ok"), [answer]);
    assert!(told(&lab, run, "a")[0].starts_with("waits for a free slot"), "an engine is about to start it");
    assert_eq!(told(&lab, run, "later"), ["waits for `a`, which is ready"]);
    lab.engine_dies();
    let idle = "no engine is running: `stepwell resume base` or `stepwell worker` starts one";
    assert_eq!(told(&lab, run, "a"), [idle]);
    assert_eq!(told(&lab, run, "ok"), [answer, idle]);
}

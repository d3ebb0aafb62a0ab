use super::*;
use crate::tests::lab::{Lab, Sketch};
use stepwell_base::ids::{Fence, StepId};
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

fn with_situation<T>(lab: &Lab, run: RunId, look: impl FnOnce(&Situation<'_>) -> T) -> T {
    let session = lab.session();
    let reader = session.reader().unwrap();
    let (row, spec, steps) = (reader.run(run).unwrap(), reader.spec(run).unwrap(), reader.steps(run).unwrap());
    look(&Situation {
        reader: &reader,
        run: &row,
        spec: &spec,
        steps: &steps,
        only: None,
        baselines: Baselines::new(&reader, &row, &steps),
        engine: EngineLock::holder(session.state_dir()),
        family: vec![run],
        now: Timestamp::now(),
        limits: session.settings.limits(),
        slots: 1,
        compared: RefCell::default(),
    })
}

fn told(lab: &Lab, run: RunId, step: &str) -> Vec<String> {
    with_situation(lab, run, |situation| {
        let step = situation.steps.iter().find(|row| row.id == StepId::from(step)).unwrap();
        reasons(situation, step).unwrap().into_iter().map(|reason| reason.message).collect()
    })
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

const MANY: &str = r#"
name = "many"
[[step]]
id = "each"
kind = "command"
for_each = "range(9)"
with.argv = ["true"]
"#;

fn many(lab: &mut Lab, name: &str, items: usize) -> RunId {
    let run = lab.run(Sketch { name, workflow: MANY, ..Sketch::default() });
    lab.expand(run, 1, "each", (0..items).map(Value::from).collect());
    for index in 0..items {
        lab.succeed(run, 2, &format!("each[{index}]"), &json!({}));
    }
    run
}

#[test]
fn items_are_compared_with_the_newest_run_that_had_them() {
    let mut lab = Lab::new();
    let first = many(&mut lab, "first", 3);
    let second = many(&mut lab, "second", 2);
    let third = many(&mut lab, "third", 4);
    let compared = |step: &str| {
        with_situation(&lab, third, |situation| {
            let step = situation.steps.iter().find(|row| row.id == StepId::from(step)).unwrap();
            let together = situation.baselines.of(step, None).unwrap().map(|(run, row)| (run, row.id, row.key));
            let alone = situation.reader.previous_step("many", &step.id, third).unwrap();
            assert_eq!(together, alone.map(|(run, row)| (run, row.id, row.key)));
            together.map(|(run, ..)| run)
        })
    };
    assert_eq!(
        ["each[0]", "each[1]", "each[2]", "each[3]"].map(compared),
        [Some(second), Some(second), Some(first), None]
    );
}

#[test]
fn a_fan_out_tells_of_its_items() {
    let mut lab = Lab::new();
    let run = many(&mut lab, "first", 2);
    lab.commit(run, 5, [StepEventKind::Succeeded { outputs: Default::default() }.under("each".into(), Fence(0))]);
    assert_eq!(told(&lab, run, "each"), ["it stands for its 2 items: all are done"]);
    let session = lab.session();
    let reader = session.reader().unwrap();
    let (text, _) = explanation(&session, &reader, run, Some(&"each".into())).unwrap();
    let expected = "each has succeeded\n  it stands for its 2 items: all are done\n\
                    each[0], each[1] have succeeded\n  it ran because no earlier run of this workflow has run this step\n";
    assert_eq!(text, expected);
}

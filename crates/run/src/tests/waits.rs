//! Steps that wait for people, signals and child runs, and gates.

use super::*;

#[test]
fn a_run_whose_steps_wait_does_not_end_and_others_go_on() {
    let mut world = world(vec![step("ask", &[]), step("work", &[]), step("ship", &["ask"])]);
    waits_for_a_person(&mut world, "ask");
    world.claim(&"work".into());
    world.complete_all();
    assert!(world.state.only_waits());
    assert_eq!(world.state.end, None);
    world.tell(decide("ask", event::Verdict::Approved));
    assert_eq!(world.ready(), [StepId::from("ship")]);
    assert_eq!(world.state.step(&"ask".into()).unwrap().outputs().unwrap().values["approver"], "ada");
    assert_eq!(world.tell(decide("ask", event::Verdict::Rejected)), Decision::default(), "it was decided once");
}

#[test]
fn a_rejection_names_who_and_why_and_can_be_asked_again() {
    let mut world = world(vec![step("ask", &[])]);
    waits_for_a_person(&mut world, "ask");
    world.tell(decide("ask", event::Verdict::Rejected));
    let Some(RunEnd::Failed { failure, .. }) = world.state.end.clone() else { panic!("it continues") };
    assert_eq!((failure.message.as_str(), failure.kind), ("rejected by ada: too early", FailureKind::Fatal));
    world.tell(Command::Resume);
    assert_eq!(world.ready(), [StepId::from("ask")]);
}

#[test]
fn cancel_ends_waits_but_waits_for_child_runs() {
    let mut world = world(vec![step("ask", &[]), step("child", &[]), step("after", &["ask", "child"])]);
    waits_for_a_person(&mut world, "ask");
    let run = RunId(Uuid::nil());
    world.tell(Command::Wait { step: "child".into(), wait: Wait::Run { run } });
    world.tell(Command::Cancel);
    assert_eq!(world.state.end, None, "the child's processes may be alive");
    world.tell(Command::ChildEnded { step: "child".into(), run, result: Err(Failure::fatal("canceled")) });
    assert_eq!(world.state.end, Some(RunEnd::Canceled));
    assert!(world.statuses.values().all(|status| *status == StepStatus::Canceled));
}

#[test]
fn a_signal_is_kept_until_a_step_waits_for_it_and_taken_once() {
    let mut world = world(vec![step("a", &[]), step("b", &[]), step("c", &[])]);
    let signal = |payload: &str| Command::Signal { name: "go".into(), payload: payload.into() };
    let wait = |id: &str| Command::Wait { step: id.into(), wait: Wait::Signal { name: "go".into() } };
    world.tell(signal("1"));
    world.tell(signal("2"));
    for id in ["b", "a", "c"] {
        world.tell(wait(id));
    }
    assert_eq!(world.taken["go"], ["1", "2"]);
    assert!(matches!(&world.state.step(&"c".into()).unwrap().state, StepState::Waiting(Wait::Signal { .. })));
    world.tell(signal("3"));
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

#[test]
fn a_signal_that_comes_too_late_for_one_step_is_for_the_next() {
    let mut late = step("a", &[]);
    late.timeout.schedule_to_close = Some(Duration::from_secs(200));
    let mut world = world(vec![late, step("b", &[])]);
    for id in ["a", "b"] {
        world.tell(Command::Wait { step: id.into(), wait: Wait::Signal { name: "go".into() } });
    }
    world.wait(201);
    world.tell(Command::Signal { name: "go".into(), payload: 1.into() });
    assert_eq!(world.statuses[&"a".into()], StepStatus::Failed);
    assert_eq!(world.taken["go"], [1]);
}

#[test]
fn restored_signals_wake_as_many_steps_as_there_are() {
    let mut world = world(vec![step("a", &[]), step("b", &[]), step("c", &[])]);
    for id in ["a", "b", "c"] {
        world.tell(Command::Wait { step: id.into(), wait: Wait::Signal { name: "go".into() } });
    }
    let signal = |payload: u8| super::super::state::Signal { name: "go".into(), payload: payload.into() };
    world.state.restore_signals([signal(1), signal(2)]);
    world.tell(Command::Expire);
    assert_eq!(world.taken["go"], [1, 2]);
    assert_eq!(world.state.waits().count(), 1);
}

#[test]
fn a_gate_is_decided_before_anything_follows() {
    let ruling = |verdict| Ruling {
        rule: "loss < 2".into(),
        inputs: serde_json::json!({ "loss": 2.5 }),
        verdict,
        approver: None,
        comment: None,
    };
    let (yes, no) = (event::Verdict::Approved, event::Verdict::Rejected);
    let ask = OnFalse::Ask { prompt: "continue?".into() };
    for (verdict, on_false, expected) in [
        (yes, OnFalse::Fail, StepStatus::Succeeded),
        (no, OnFalse::Continue, StepStatus::Succeeded),
        (no, OnFalse::Fail, StepStatus::Failed),
        (no, ask, StepStatus::Waiting),
    ] {
        let mut world = world(vec![step("gate", &[])]);
        let decision = world.tell(Command::Rule { step: "gate".into(), ruling: ruling(verdict), on_false });
        assert_eq!(decision.events[1], StepEventKind::Decided { ruling: ruling(verdict) }.of("gate".into()));
        assert_eq!(world.statuses[&"gate".into()], expected);
        match &world.state.step(&"gate".into()).unwrap().state {
            StepState::Succeeded { outputs } => assert_eq!(outputs.values["passed"], verdict == yes),
            StepState::Failed(failure) => assert!(failure.message.contains("`loss < 2` is false for loss = 2.5")),
            state => {
                assert!(matches!(state, StepState::Waiting(Wait::Approval { inputs, .. }) if inputs["loss"] == 2.5))
            }
        }
    }
}

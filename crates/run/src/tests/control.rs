//! Pauses, and steps that are retried by hand.

use super::*;

#[test]
fn a_paused_run_claims_nothing_and_loses_no_retries() {
    let mut world = world(vec![step("a", &[]), step("b", &[])]);
    world.claim(&"a".into());
    let effects = world.tell(Command::Pause { cause: PauseCause::Person, reason: "x".into() }).effects;
    assert!(matches!(effects.as_slice(), [Effect::Interrupt { step, .. }] if step.as_str() == "a"));
    world.tell(Command::Release {
        step: "a".into(),
        fence: Fence(1),
        cause: ReleaseCause::Stopped,
        reason: "asked".into(),
    });
    assert_eq!(world.claim(&"b".into()), Decision::default());
    assert_eq!(world.claim(&"a".into()), Decision::default());
    world.tell(Command::Interrupt { reason: "engine stops".into() });
    assert_eq!(world.run_status, RunStatus::Paused, "an engine that stops does not end the pause");
    assert_eq!(world.state.step(&"a".into()).unwrap().failures, 0);
    world.tell(Command::Resume);
    world.run_to_the_end();
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

#[test]
fn a_paused_run_can_be_canceled() {
    let mut world = world(vec![step("a", &[])]);
    world.tell(Command::Pause { cause: PauseCause::Person, reason: "x".into() });
    world.tell(Command::Cancel);
    assert_eq!(world.state.end, Some(RunEnd::Canceled));
}

#[test]
fn a_failed_step_is_retried_while_the_rest_goes_on() {
    let mut once = step("a", &[]);
    once.retry.maximum_attempts = 2;
    let mut world = world(vec![once, step("b", &[]), step("c", &["a"])]);
    world.claim(&"b".into());
    for _ in 0..2 {
        world.wait(60);
        world.claim(&"a".into());
        let fence = world.state.step(&"a".into()).unwrap().fence;
        world.tell(Command::Fail { step: "a".into(), fence, failure: Failure::retryable("x") });
    }
    assert_eq!(world.statuses[&"a".into()], StepStatus::Failed);
    assert_eq!(world.tell(Command::Retry { step: Some("b".into()) }), Decision::default(), "b has not failed");
    world.tell(Command::Retry { step: Some("a".into()) });
    assert_eq!(world.state.step(&"a".into()).unwrap().failures, 0, "retries are counted again");
    assert_eq!(world.state.end, None);
    world.run_to_the_end();
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

#[test]
fn one_item_of_a_failed_fan_out_is_retried_alone() {
    let mut fan = step("f", &[]);
    fan.for_each = Some("x".into());
    let mut world = world(vec![fan]);
    world.tell(Command::Expand { step: "f".into(), items: vec![Value::Null; 3] });
    for n in 0..3 {
        let child = StepId::from("f").child(n);
        world.claim(&child);
        world.tell(Command::Fail { step: child, fence: Fence(1), failure: Failure::fatal("x") });
    }
    assert!(matches!(world.state.end, Some(RunEnd::Failed { .. })));
    world.tell(Command::Retry { step: Some("f[1]".into()) });
    assert_eq!(world.ready(), [StepId::from("f[1]")]);
    assert_eq!(world.statuses[&"f".into()], StepStatus::Expanded);
    world.claim(&"f[1]".into());
    world.complete_all();
    assert!(matches!(&world.state.end, Some(RunEnd::Failed { .. })), "the others have still failed");
    world.tell(Command::Retry { step: Some("f".into()) });
    world.run_to_the_end();
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

/// The clock of the engine that decided on the pause was a year ahead.
#[test]
fn a_restored_pause_is_no_longer_than_the_retry_policy_says() {
    let now = Timestamp::UNIX_EPOCH;
    for (pause, expected) in [(365 * 86_400, 1), (1, 1), (0, 0)] {
        let mut state = new_state(&spec(vec![step("a", &[])]));
        let not_before = now + SignedDuration::from_secs(pause);
        let ready = StepState::Ready { not_before };
        let (fence, attempts, failures, key) = (Fence(1), 1, 1, None);
        state.restore(&"a".into(), Restored { state: Some(ready), fence, attempts, failures, key, ready_since: None });
        state.settle_restored();
        state.cap_pauses(now);
        let found = &state.step(&"a".into()).unwrap().state;
        let capped = now + SignedDuration::from_secs(expected);
        assert!(matches!(found, StepState::Ready { not_before } if *not_before == capped), "{pause} s: {found:?}");
    }
}

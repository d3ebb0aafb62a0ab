//! `timeout.schedule_to_close`.

use super::*;
use crate::decide::child_failure;
use crate::next::{next_child_deadline, next_deadline};

const LIMIT: i64 = 50;

fn limited(id: &str) -> StepSpec {
    let mut step = step(id, &[]);
    step.timeout.schedule_to_close = Some(Duration::from_secs(LIMIT.unsigned_abs()));
    step
}

fn wait_for(world: &mut World, wait: Wait) {
    world.tell(Command::Wait { step: "a".into(), wait });
}

fn approval() -> Wait {
    Wait::Approval { prompt: "?".into(), inputs: Value::Null }
}

fn signal() -> Wait {
    Wait::Signal { name: "go".into() }
}

fn child() -> RunId {
    RunId(Uuid::from_u128(7))
}

/// The failure of the step that ended the run.
#[track_caller]
fn failure(world: &World) -> &Failure {
    match &world.state.end {
        Some(RunEnd::Failed { failure, .. }) => failure,
        end => panic!("the run has not failed: {end:?}"),
    }
}

#[track_caller]
fn assert_too_late(world: &World, awaited: &str) {
    let failure = failure(world);
    assert_eq!(failure.kind, FailureKind::ScheduleToClose, "{failure}");
    assert!(failure.message.contains(awaited), "{failure}");
}

fn deadline() -> Option<Timestamp> {
    Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(LIMIT))
}

#[test]
fn nobody_answers_in_time_and_a_retry_asks_for_the_same_time_again() {
    for (wait, awaited) in [(approval(), "a person"), (signal(), "the signal `go`")] {
        let mut world = world(vec![limited("a")]);
        world.wait(10);
        wait_for(&mut world, wait.clone());
        assert_eq!(next_deadline(&world.state, world.now), deadline());
        world.wait(39);
        assert_eq!(world.tell(Command::Expire), Decision::default());
        world.wait(1);
        world.tell(Command::Expire);
        assert_too_late(&world, awaited);
        world.tell(Command::Retry { step: None });
        wait_for(&mut world, wait);
        assert_eq!(world.tell(Command::Expire), Decision::default());
        world.wait(LIMIT);
        world.tell(Command::Expire);
        assert_too_late(&world, awaited);
    }
}

#[test]
fn a_gate_that_asks_a_person_and_a_wait_after_attempts_are_limited_as_well() {
    let mut world = world(vec![limited("a")]);
    world.claim(&"a".into());
    world.wait(30);
    world.tell(Command::Release {
        step: "a".into(),
        fence: Fence(1),
        cause: ReleaseCause::Stopped,
        reason: "x".into(),
    });
    let ruling = Ruling {
        rule: "r".into(),
        inputs: Value::Null,
        verdict: event::Verdict::Rejected,
        approver: None,
        comment: None,
    };
    world.tell(Command::Rule { step: "a".into(), ruling, on_false: OnFalse::Ask { prompt: "?".into() } });
    world.wait(20);
    world.tell(Command::Expire);
    assert_too_late(&world, "a person");
}

#[test]
fn an_answer_that_comes_too_late_counts_for_nothing() {
    let late = |wait| {
        let mut world = world(vec![limited("a")]);
        wait_for(&mut world, wait);
        world.wait(LIMIT);
        world
    };
    let mut asked = late(approval());
    assert_eq!(asked.tell(decide("a", event::Verdict::Approved)), Decision::default());
    asked.tell(Command::Expire);
    assert_too_late(&asked, "a person");

    let mut waiting = late(signal());
    waiting.tell(Command::Signal { name: "go".into(), payload: 1.into() });
    assert_too_late(&waiting, "the signal `go`");
    assert!(waiting.state.signal("go").is_some(), "nobody has taken it");
}

#[test]
fn a_child_run_is_canceled_and_only_then_the_step_fails() {
    let mut world = world(vec![limited("a")]);
    wait_for(&mut world, Wait::Run { run: child() });
    assert_eq!(next_child_deadline(&world.state, |_| false), deadline());
    world.wait(LIMIT);
    let expired = world.tell(Command::Expire);
    assert_eq!((expired.events, expired.effects), (vec![], vec![Effect::CancelRun { run: child() }]));
    assert_eq!(next_child_deadline(&world.state, |run| run == child()), None, "its end is an event");
    assert_eq!(next_deadline(&world.state, world.now), None, "nothing to look at until then");
    assert!(world.state.awaits_runs(), "its processes may be alive");
    let result = Err(child_failure("w.a", child(), None));
    world.tell(Command::ChildEnded { step: "a".into(), run: child(), result });
    assert_too_late(&world, "the child run");
}

#[test]
fn a_child_that_ends_by_itself_keeps_its_result() {
    for (result, kind) in [(Ok(Outputs::default()), None), (Err(Failure::fatal("x")), Some(FailureKind::Fatal))] {
        let mut world = world(vec![limited("a")]);
        wait_for(&mut world, Wait::Run { run: child() });
        world.wait(LIMIT);
        world.tell(Command::ChildEnded { step: "a".into(), run: child(), result });
        match kind {
            None => assert_eq!(world.state.end, Some(RunEnd::Succeeded)),
            Some(kind) => assert_eq!(failure(&world).kind, kind),
        }
    }
    let mut early = world(vec![limited("a")]);
    wait_for(&mut early, Wait::Run { run: child() });
    let result = Err(child_failure("w.a", child(), None));
    early.tell(Command::ChildEnded { step: "a".into(), run: child(), result });
    assert_eq!(failure(&early).kind, FailureKind::Canceled, "a person has canceled it");
}

#[test]
fn a_paused_run_lets_no_wait_end_until_it_goes_on() {
    let mut world = world(vec![limited("a")]);
    wait_for(&mut world, approval());
    world.tell(Command::Pause { cause: PauseCause::Person, reason: "x".into() });
    world.wait(LIMIT);
    assert_eq!(next_deadline(&world.state, world.now), None);
    assert_eq!(world.tell(Command::Expire), Decision::default());
    world.tell(Command::Resume);
    world.tell(Command::Expire);
    assert_too_late(&world, "a person");
}

#[test]
fn schedule_to_close_counts_over_all_attempts_and_pauses_between_them() {
    let mut slow = step("a", &[]);
    slow.retry.maximum_attempts = 100;
    slow.timeout.schedule_to_close = Some(Duration::from_secs(50));
    let mut world = world(vec![slow]);
    world.claim(&"a".into());
    world.wait(20);
    world.tell(Command::Fail { step: "a".into(), fence: Fence(1), failure: Failure::retryable("x") });
    world.wait(5);
    world.claim(&"a".into());
    world.wait(10);
    world.tell(Command::Heartbeat { step: "a".into(), fence: Fence(2) });
    assert_eq!(world.tell(Command::Expire).effects, []);
    let deadline = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(50);
    assert_eq!(next_deadline(&world.state, world.now), Some(deadline));
    world.wait(15);
    let effects = world.tell(Command::Expire).effects;
    let [Effect::Kill { failure, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(failure.kind, FailureKind::ScheduleToClose);
    world.tell(Command::Fail { step: "a".into(), fence: Fence(2), failure: failure.clone() });
    assert!(
        matches!(&world.state.end, Some(RunEnd::Failed { failure, .. }) if failure.kind == FailureKind::ScheduleToClose)
    );
    world.tell(Command::Retry { step: None });
    assert_eq!(world.tell(Command::Expire), Decision::default(), "a retry gets the same time again");
}

#[test]
fn a_step_fails_when_its_time_ends_during_a_backoff() {
    let mut slow = step("a", &[]);
    slow.retry.initial_interval = Duration::from_secs(60);
    slow.timeout.schedule_to_close = Some(Duration::from_secs(50));
    let mut world = world(vec![slow]);
    world.claim(&"a".into());
    world.tell(Command::Fail { step: "a".into(), fence: Fence(1), failure: Failure::retryable("x") });
    world.wait(49);
    assert_eq!(world.tell(Command::Expire), Decision::default());
    world.wait(1);
    world.tell(Command::Expire);
    assert!(
        matches!(&world.state.end, Some(RunEnd::Failed { failure, .. }) if failure.kind == FailureKind::ScheduleToClose)
    );
}

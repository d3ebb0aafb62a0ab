//! Any history of any workflow.

use proptest::prelude::*;

use super::*;

fn workflows() -> impl Strategy<Value = Arc<WorkflowSpec>> {
    let one = (any::<u8>(), 1..4_u32, any::<bool>(), any::<bool>(), any::<bool>());
    prop::collection::vec(one, 1..8).prop_map(|raw| {
        let steps = raw.iter().enumerate().map(|(i, (needs, attempts, fan_out, in_process, limited))| {
            let needs: Vec<String> = (0..i).filter(|n| needs >> n & 1 == 1).map(|n| format!("s{n}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let mut step = step(&format!("s{i}"), &needs);
            step.retry.maximum_attempts = *attempts;
            step.timeout.schedule_to_close = limited.then(|| Duration::from_secs(200));
            step.for_each = fan_out.then(|| "x".to_owned());
            step.kind = if *in_process { "in".into() } else { "child".into() };
            step
        });
        spec(steps.collect())
    })
}

fn act(world: &mut World, what: u8, which: usize) {
    let pick = |list: Vec<(StepId, Fence)>| list.get(which % list.len().max(1)).cloned();
    let ready = world.ready();
    let ready = ready.get(which % ready.len().max(1)).cloned();
    let leased = pick(world.leases());
    let failure = |kind| Failure::new(kind, "x");
    let waiting = world.state.waits().map(|(step, wait)| (step.id.clone(), wait.clone())).collect::<Vec<_>>();
    let waiting = waiting.get(which % waiting.len().max(1)).cloned();
    let name = ["a", "b"][which % 2].to_owned();
    match (what % 29, ready, leased) {
        (18..=20, Some(step), _) if !is_fan_out(world, &step) => {
            let wait = match which % 3 {
                0 => Wait::Approval { prompt: "?".into(), inputs: Value::Null },
                1 => Wait::Signal { name },
                _ => Wait::Run { run: RunId(Uuid::nil()) },
            };
            world.tell(Command::Wait { step, wait });
        }
        (21, Some(step), _) if !is_fan_out(world, &step) && world.state.step(&step).unwrap().attempts == 0 => {
            let verdict = [event::Verdict::Approved, event::Verdict::Rejected][which % 2];
            let on_false = [OnFalse::Fail, OnFalse::Continue, OnFalse::Ask { prompt: "?".into() }][which % 3].clone();
            let ruling = Ruling { rule: "r".into(), inputs: Value::Null, verdict, approver: None, comment: None };
            world.tell(Command::Rule { step, ruling, on_false });
        }
        (22 | 23, _, _) => drop(world.tell(Command::Signal { name, payload: world.sent().into() })),
        (24 | 25, _, _) => match waiting {
            Some((step, Wait::Approval { .. })) => {
                let verdict = [event::Verdict::Approved, event::Verdict::Rejected][which % 2];
                world.tell(Command::Decide { step, verdict, approver: "x".into(), comment: None });
            }
            Some((step, Wait::Run { run })) => {
                let other = RunId(Uuid::max());
                let result = Ok(Outputs::default());
                let stale = Command::ChildEnded { step: step.clone(), run: other, result: result.clone() };
                assert_eq!(world.tell(stale), Decision::default(), "another run was taken for the child");
                let result = if which.is_multiple_of(2) { result } else { Err(failure(FailureKind::Fatal)) };
                world.tell(Command::ChildEnded { step, run, result });
            }
            _ => drop(world.tell(Command::Pause { cause: PauseCause::Person, reason: "x".into() })),
        },
        (0..=3, Some(id), _) => world.claim_or_expand(&id, which % 4),
        (4, Some(step), _) => drop(world.tell(Command::Skip { step, reason: "x".into() })),
        (5, Some(step), _) => drop(world.tell(Command::Reject { step, failure: failure(FailureKind::Fatal) })),
        (6..=8, _, Some((step, fence))) => {
            world.tell(Command::Complete { step, fence, outputs: Outputs::default() });
        }
        (9, _, Some((step, fence))) => {
            world.tell(Command::Fail { step, fence, failure: failure(FailureKind::Retryable) });
        }
        (10, _, Some((step, fence))) => {
            world.tell(Command::Fail { step, fence, failure: failure(FailureKind::LeaseLost) });
        }
        (11, _, Some((step, fence))) => {
            world.tell(Command::Release { step, fence, cause: ReleaseCause::EngineDied, reason: "died".into() });
        }
        (12, _, Some((step, fence))) => {
            let checkpoint = Checkpoint { last_step: Some(which as u64), ..checkpoint() };
            world.tell(Command::Checkpoint { step, fence, checkpoint });
        }
        (13, _, Some((step, fence))) => drop(world.tell(Command::Heartbeat { step, fence })),
        (14, _, _) => {
            world.wait(45);
            world.tell(Command::Expire);
            world.check_time();
        }
        (15, _, _) => drop(world.tell(Command::Interrupt { reason: "x".into() })),
        (16, _, _) => drop(world.tell(Command::Resume)),
        (26, _, _) => drop(world.tell(Command::Pause { cause: PauseCause::Person, reason: "x".into() })),
        (27, _, _) => drop(world.tell(Command::Retry { step: None })),
        (28, _, _) => {
            let ids: Vec<StepId> = world.statuses.keys().cloned().collect();
            let step = ids[which % ids.len()].clone();
            let failed = world.statuses[&step] == StepStatus::Failed;
            let ended = matches!(world.state.end, Some(RunEnd::Succeeded | RunEnd::Canceled));
            let decision = world.tell(Command::Retry { step: Some(step) });
            if failed && !ended && world.state.lifecycle != Lifecycle::Canceling {
                assert!(!decision.events.is_empty(), "a failed step was not resumed");
            }
        }
        // Rare, because nothing comes after a cancel.
        (17, _, _) if which.is_multiple_of(16) => drop(world.tell(Command::Cancel)),
        (17, _, Some((step, fence))) => {
            let old = Fence(fence.0 - 1);
            let outputs = Outputs::default();
            let stale = [
                Command::Complete { step: step.clone(), fence: old, outputs },
                Command::Fail { step: step.clone(), fence: old, failure: failure(FailureKind::Fatal) },
                Command::Checkpoint { step: step.clone(), fence: old, checkpoint: checkpoint() },
                Command::Release { step: step.clone(), fence: old, cause: ReleaseCause::Stopped, reason: "x".into() },
                Command::Heartbeat { step: step.clone(), fence: old },
                Command::Killed { step, fence: old },
            ];
            for command in stale {
                assert_eq!(world.tell(command), Decision::default(), "a stale fence was answered");
            }
        }
        _ => {}
    }
}

fn is_fan_out(world: &World, id: &StepId) -> bool {
    let step = world.state.step(id).unwrap();
    step.parent.is_none() && world.state.step_spec(step).for_each.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_legal_and_replays_to_the_same_state(
        spec in workflows(),
        acts in prop::collection::vec((any::<u8>(), 0..64_usize), 0..120),
    ) {
        let mut world = World::new(spec);
        for (what, which) in acts {
            let ended = world.state.end.clone();
            act(&mut world, what, which);
            if matches!(ended, Some(RunEnd::Succeeded | RunEnd::Canceled)) {
                prop_assert_eq!(&world.state.end, &ended, "an ended run changed");
            }
            prop_assert!(world.replay() == world.state, "replay differs from the state");
        }
        if world.state.lifecycle == Lifecycle::Canceling {
            for (step, fence) in world.leases() {
                world.tell(Command::Killed { step, fence });
            }
            world.answer_all();
            let end = world.state.end.clone();
            prop_assert_eq!(end, Some(RunEnd::Canceled));
        } else {
            world.tell(Command::Resume);
            world.run_to_the_end();
            if !matches!(world.state.end, Some(RunEnd::Succeeded)) {
                // A step may have failed before; after another resume it succeeds.
                world.tell(Command::Resume);
                world.run_to_the_end();
            }
            prop_assert_eq!(&world.state.end, &Some(RunEnd::Succeeded));
        }
        for (name, taken) in &world.taken {
            prop_assert_eq!(taken, &world.sent[name][..taken.len()], "signals are taken in order, once each");
        }
        prop_assert!(world.replay() == world.state, "replay differs at the end");
    }
}

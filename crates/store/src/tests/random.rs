//! Random events, possible and impossible: the tables, the log and the pure rules never disagree.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{StoreError, check};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, StepId};
use stepwell_base::rng::Rng;
use stepwell_run::event::{Event, StepEventKind};
use stepwell_run::status::{StepStatus, Transition, fence_holds};

use super::fixture::*;

const STEPS: [&str; 5] = ["a", "b", "c", "c[0]", "c[1]"];

fn random_event(rng: &mut Rng, attempts: &BTreeMap<StepId, u32>) -> Event {
    let step = StepId::from(STEPS[rng.below(STEPS.len() as u64) as usize]);
    let id = step.as_str();
    let current = attempts.get(&step).copied().unwrap_or(0);
    // Mostly the current fence, sometimes an older or newer one.
    let fence = (u64::from(current) + [0, 0, 0, 0, 1, 9][rng.below(6) as usize]) % 10;
    match rng.below(14) {
        0 | 1 => ready(id),
        2..=4 => started(id, current + 1),
        5 => failed(id, fence),
        6 => released(id, fence),
        7 => succeeded(id, fence),
        8 | 9 => checkpointed(id, fence, 1 + rng.below(9)),
        10 => rewound(id, fence, rng.below(9)),
        11 => StepEventKind::Skipped { reason: "x".to_owned() }.of(step),
        12 => StepEventKind::Failed { failure: Failure::fatal("x") }.of(step),
        _ => StepEventKind::Expanded { items: vec![json!(0), json!(1)] }.of("c".into()),
    }
}

#[test]
fn the_store_agrees_with_the_pure_rules() {
    let mut seen = BTreeMap::new();
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let (mut engine, run) = Engine::with_run();
        // This test does not cover durability.
        engine.store.reader().connection.pragma_update(None, "synchronous", "OFF").unwrap();
        for _ in 0..150 {
            let before = engine.store.reader().steps(run).unwrap();
            let logged = engine.store.reader().events(None, 0).unwrap().len();
            let attempts = before.iter().map(|step| (step.id.clone(), step.attempts)).collect();
            let event = random_event(&mut rng, &attempts);
            let outcome = engine.commit(run, [event.clone()]);
            let after = engine.store.reader().steps(run).unwrap();
            let added = engine.store.reader().events(None, 0).unwrap().len() - logged;
            let Event::Step(of_step) = event.clone() else { panic!("{event:?}") };
            let id = &of_step.step;
            let Some(step) = before.iter().find(|step| step.id == *id) else {
                assert!(matches!(outcome, Err(StoreError::UnknownStep { .. })), "{event:?}: {outcome:?}");
                continue;
            };
            let status = |rows: &[crate::StepRow]| rows.iter().find(|row| row.id == *id).map(|row| row.status);
            let what = match (fence_holds(&of_step, step.status, step.fence), step.status.after(&of_step.kind)) {
                (false, _) => {
                    assert_eq!((outcome.unwrap().stale, &after, added), (vec![0], &before, 0), "{event:?}");
                    "stale"
                }
                (true, Transition::Illegal) => {
                    assert!(matches!(outcome, Err(StoreError::IllegalEvent { .. })), "{event:?}: {outcome:?}");
                    assert_eq!((&after, added), (&before, 0), "{event:?}");
                    "illegal"
                }
                (true, transition) => {
                    assert_eq!((outcome.unwrap().stale, added), (vec![], 1), "{event:?}");
                    let next = if let Transition::To(next) = transition { next } else { step.status };
                    assert_eq!(status(&after), Some(next), "{event:?}");
                    "applied"
                }
            };
            *seen.entry(what).or_insert(0) += 1;
            for (old, new) in before.iter().zip(&after) {
                assert!(new.fence >= old.fence && (new.fence > Fence(0)) == (new.attempts > 0));
                assert!(new.process.is_none() && (new.status == StepStatus::Running) == new.lease_expires_at.is_some());
                assert!(old.status != StepStatus::Succeeded || new.status == StepStatus::Succeeded);
            }
        }
        assert_eq!(check(engine.path()).unwrap(), [], "seed {seed}");
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 50), "{seen:?}");
}

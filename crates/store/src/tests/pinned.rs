//! Parts of a pinned workflow equal those of the whole.

use std::time::Duration;

use super::fixture::*;
use crate::{RunLimits, StoreError};
use serde_json::json;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::StepEventKind;
use stepwell_workflow::budget::{Budget, Sla};
use stepwell_workflow::key::spec_digest;

#[test]
fn limits_and_leases_equal_those_of_the_whole_workflow() {
    let mut engine = Engine::start();
    let plain = engine.submit("plain");
    let mut new = new_run("limited");
    new.spec.budget = Budget { maximum_compute: Some(Duration::from_secs(90)), ..Budget::default() };
    new.spec.sla = Some(Sla { finish_within: Duration::from_millis(1500) });
    for (step, seconds) in new.spec.steps.iter_mut().zip([7, 8, 9]) {
        step.timeout.heartbeat = Duration::from_secs(seconds);
    }
    new.spec_digest = spec_digest(&new.spec);
    let run = new.id;
    engine.store.submit(new).unwrap();
    let reader = engine.store.reader();
    assert_eq!(reader.limits_of(plain).unwrap(), RunLimits::default());
    for run in [plain, run] {
        let (limits, spec) = (reader.limits_of(run).unwrap(), reader.spec(run).unwrap());
        assert_eq!((limits.budget, limits.sla), (spec.budget, spec.sla));
    }
    assert!(reader.limits_of(run).unwrap().sla.is_some());
    assert!(matches!(reader.limits_of(RunId(uuid::Uuid::nil())), Err(StoreError::UnknownRun { .. })));

    engine.commit(run, [ready("a"), started("a", 1), succeeded("a", 1)]).unwrap();
    assert!(engine.store.reader().heartbeats(run).unwrap().is_empty(), "nothing runs");
    engine.commit(run, [ready("b"), started("b", 1), ready("c")]).unwrap();
    engine.commit(run, [StepEventKind::Expanded { items: vec![json!(1), json!(2)] }.of("c".into())]).unwrap();
    engine.commit(run, [ready("c[1]"), started("c[1]", 1)]).unwrap();
    let mut found: Vec<(StepId, u64)> = engine
        .store
        .reader()
        .heartbeats(run)
        .unwrap()
        .into_iter()
        .map(|(step, lease)| (step, lease.as_secs()))
        .collect();
    found.sort();
    assert_eq!(found, [(StepId::from("b"), 8), (StepId::from("c[1]"), 9)]);
}

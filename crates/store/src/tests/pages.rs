//! Pages of runs and steps.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{Remark, RunFilter, StepCounts, StepFilter, StepTotals};
use stepwell_base::failure::Failure;
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, RunEvent, StepEventKind};
use stepwell_run::status::{RunStatus, StepStatus};

use super::fixture::*;

fn page(engine: &Engine, filter: &RunFilter, before: Option<RunId>, most: usize) -> Vec<String> {
    let found = engine.store.reader().run_page(filter, before, most).unwrap();
    found.readable.into_iter().map(|run| run.name).collect()
}

#[test]
fn runs_come_in_pages_newest_first_and_filtered() {
    let mut engine = Engine::start();
    let runs: Vec<RunId> = ["alpha", "beta", "Gamma"].map(|name| engine.submit(name)).to_vec();
    engine.commit(runs[1], [Event::Run(RunEvent::Started)]).unwrap();
    let all = RunFilter::default();
    assert_eq!(page(&engine, &all, None, 2), ["Gamma", "beta"]);
    assert_eq!(page(&engine, &all, Some(runs[1]), 2), ["alpha"]);
    let text = |text: &str| RunFilter { text: Some(text.to_owned()), ..RunFilter::default() };
    assert_eq!(page(&engine, &text("GAM"), None, 9), ["Gamma"]);
    assert_eq!(page(&engine, &text(&runs[0].to_string()), None, 9), ["alpha"]);
    assert_eq!(page(&engine, &text("flow"), None, 9).len(), 3, "the workflow counts");
    assert!(page(&engine, &text("%"), None, 9).is_empty(), "no pattern");
    let status = |statuses: &[RunStatus]| RunFilter { statuses: statuses.to_vec(), ..RunFilter::default() };
    assert_eq!(page(&engine, &status(&[RunStatus::Running]), None, 9), ["beta"]);
    assert_eq!(page(&engine, &status(&[RunStatus::Interrupted]), None, 9), Vec::<String>::new());
    let tags = BTreeSet::from(["good".parse().unwrap()]);
    engine.store.remark(runs[0], &Remark::Tags { add: tags, remove: BTreeSet::new() }, at(5)).unwrap();
    let tagged = RunFilter { tag: Some("good".parse().unwrap()), ..RunFilter::default() };
    assert_eq!(page(&engine, &tagged, None, 9), ["alpha"]);
    assert_eq!(engine.store.reader().workflow_names(9).unwrap(), ["flow"]);

    let Engine { store, lock, dir: _dir } = engine;
    drop(lock);
    let found = store.reader().run_page(&status(&[RunStatus::Interrupted]), None, 9).unwrap().readable;
    assert_eq!((found.len(), found[0].status), (1, RunStatus::Interrupted), "nobody drives it");
    assert!(store.reader().run_page(&status(&[RunStatus::Running]), None, 9).unwrap().readable.is_empty());
}

#[test]
fn steps_come_in_pages_failed_ones_first() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1), succeeded("a", 1)]).unwrap();
    let items: Vec<_> = (0..5).map(|number| json!(format!("item {number}"))).collect();
    engine.commit(run, [StepEventKind::Expanded { items }.of("c".into()), ready("c[3]"), started("c[3]", 1)]).unwrap();
    engine.commit(run, [StepEventKind::Failed { failure: Failure::fatal("x") }.of("c[4]".into())]).unwrap();
    let reader = engine.store.reader();
    let ids = |filter: &StepFilter, skipped: usize, most: usize| -> Vec<String> {
        let found = reader.step_page(run, filter, skipped, most).unwrap();
        found.into_iter().map(|step| step.id.to_string()).collect()
    };
    let all = StepFilter::default();
    assert_eq!(ids(&all, 0, 9), ["c[4]", "c[3]", "c", "a", "b", "c[0]", "c[1]", "c[2]"]);
    assert_eq!(ids(&all, 2, 3), ["c", "a", "b"]);
    let failed = StepFilter { status: Some(StepStatus::Failed), ..StepFilter::default() };
    assert_eq!(ids(&failed, 0, 9), ["c[4]"]);
    let text = StepFilter { text: Some("ITEM 2".to_owned()), ..StepFilter::default() };
    assert_eq!(ids(&text, 0, 9), ["c[2]"]);
    assert_eq!([&all, &failed, &text].map(|filter| reader.count_steps(run, filter).unwrap()), [8, 1, 1]);
    let expected = StepCounts { total: 8, top: 3, failed: 1, running: 1, waiting: 0, done: 1 };
    assert_eq!(reader.step_counts(run).unwrap(), expected);
    let totals = StepTotals { total: 7, done: 1, failed: 1 };
    assert_eq!(reader.step_totals(&[run]).unwrap(), [(run, totals)], "a fan-out counts with its items only");
}

#[test]
fn the_first_row_of_each_attempt_is_found() {
    let (mut engine, run) = Engine::with_run();
    assert_eq!(engine.store.reader().attempt_starts(run, &"a".into()).unwrap(), []);
    let mut expected = Vec::new();
    for (attempt, from, to) in [(1, 1, 40), (2, 41, 41), (3, 42, 99), (4, 150, 160)] {
        engine.commit(run, [ready("a"), started("a", attempt)]).unwrap();
        engine.metrics(run, attempt, &(from..=to).collect::<Vec<u64>>()).unwrap();
        expected.push((attempt, from));
        assert_eq!(engine.store.reader().attempt_starts(run, &"a".into()).unwrap(), expected);
        engine.commit(run, [released("a", u64::from(attempt))]).unwrap();
    }
}

//! Pages of runs and steps.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{Remark, RunFilter, StepCounts, StepFilter, StepPage, StepPlace, StepRow, StepTotals, check};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::rng::Rng;
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
    let page = |filter: &StepFilter, after, most| {
        let StepPage { steps, next } = reader.step_page(run, filter, after, most).unwrap();
        (steps.into_iter().map(|step| step.id.to_string()).collect::<Vec<_>>(), next)
    };
    let ids = |filter: &StepFilter, most: usize| page(filter, None, most).0;
    let all = StepFilter::default();
    assert_eq!(ids(&all, 9), ["c[4]", "c[3]", "c", "a", "b", "c[0]", "c[1]", "c[2]"]);
    let (two, next) = page(&all, None, 2);
    assert_eq!(two, ["c[4]", "c[3]"]);
    let next = next.map(|place| place.to_string().parse().unwrap());
    assert_eq!(page(&all, next, 3).0, ["c", "a", "b"]);
    let failed = StepFilter { status: Some(StepStatus::Failed), ..StepFilter::default() };
    assert_eq!(ids(&failed, 9), ["c[4]"]);
    let text = StepFilter { text: Some("ITEM 2".to_owned()), ..StepFilter::default() };
    assert_eq!(ids(&text, 9), ["c[2]"]);
    assert_eq!([&all, &failed, &text].map(|filter| reader.count_steps(run, filter).unwrap()), [8, 1, 1]);
    let expected = StepCounts { total: 8, top: 3, failed: 1, running: 1, waiting: 0, done: 1 };
    assert_eq!(reader.step_counts(run).unwrap(), expected);
    let totals = StepTotals { total: 8, done: 1, failed: 1 };
    assert_eq!(reader.step_totals(&[run]).unwrap(), [(run, totals)]);
}

/// The order that pages have, from all steps at once.
fn in_order(steps: Vec<StepRow>) -> Vec<StepRow> {
    let group = |step: &StepRow| match step.status {
        StepStatus::Failed => 0,
        StepStatus::Running | StepStatus::Waiting => 1,
        StepStatus::Expanded => 2,
        _ => 3,
    };
    let mut steps = steps;
    // They come as they are defined, and a stable sort keeps that.
    steps.sort_by_key(group);
    steps
}

#[test]
fn pages_of_any_size_have_every_step_once_in_order() {
    let mut rng = Rng::new(7);
    for round in 0..12 {
        let (mut engine, run) = Engine::with_run();
        engine.commit(run, [ready("a"), started("a", 1), succeeded("a", 1)]).unwrap();
        let items: Vec<_> = (0..10 + rng.below(30)).map(|number| json!(number)).collect();
        let count = items.len();
        engine.commit(run, [StepEventKind::Expanded { items }.of("c".into())]).unwrap();
        for index in 0..count {
            let id = format!("c[{index}]");
            let failure = Failure::fatal("x");
            match rng.below(if round % 3 == 0 { 2 } else { 6 }) {
                0 => engine.commit(run, [StepEventKind::Failed { failure }.of(id.as_str().into())]).unwrap(),
                1 => engine.commit(run, [ready(&id), started(&id, 1)]).unwrap(),
                2 => engine
                    .commit(run, [StepEventKind::Skipped { reason: "x".to_owned() }.of(id.as_str().into())])
                    .unwrap(),
                3 => engine.commit(run, [ready(&id), started(&id, 1), succeeded_plainly(&id)]).unwrap(),
                _ => continue,
            };
        }
        let reader = engine.store.reader();
        let all = in_order(reader.steps(run).unwrap());
        let statuses = [None, Some(StepStatus::Failed), Some(StepStatus::Running), Some(StepStatus::Skipped)];
        for (status, text) in statuses.into_iter().flat_map(|status| [(status, None), (status, Some("c[1"))]) {
            let filter = StepFilter { status, text: text.map(str::to_owned) };
            let fits = |step: &&StepRow| {
                status.is_none_or(|status| step.status == status)
                    && text.is_none_or(|text| step.id.as_str().contains(text))
            };
            let expected: Vec<&StepId> = all.iter().filter(fits).map(|step| &step.id).collect();
            for most in [1, 2, 7, 100] {
                let (mut seen, mut after): (Vec<StepId>, Option<StepPlace>) = (Vec::new(), None);
                loop {
                    let StepPage { steps, next } = reader.step_page(run, &filter, after, most).unwrap();
                    assert!(steps.len() <= most);
                    seen.extend(steps.into_iter().map(|step| step.id));
                    after = next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{filter:?} in pages of {most}");
            }
            assert_eq!(reader.count_steps(run, &filter).unwrap(), expected.len() as u64);
        }
        let counts = reader.step_counts(run).unwrap();
        let number = |status: StepStatus| all.iter().filter(|step| step.status == status).count() as u64;
        assert_eq!((counts.total, counts.top), (all.len() as u64, 3));
        assert_eq!((counts.failed, counts.running), (number(StepStatus::Failed), number(StepStatus::Running)));
        assert_eq!(counts.done, number(StepStatus::Succeeded) + number(StepStatus::Skipped));
        assert_eq!(check(engine.path()).unwrap(), []);
    }
}

fn succeeded_plainly(id: &str) -> Event {
    StepEventKind::Succeeded { outputs: Default::default() }.under(id.into(), Fence(1))
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

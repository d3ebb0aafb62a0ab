//! Finds the step of an earlier run that a step is compared with. The items of a fan-out are looked up together.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::CliError;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, RunRow, StepRow};

/// Earlier runs whose items are loaded at once. Fan-outs that grew and shrank more often are rare.
const MOST_RUNS: usize = 8;

/// Earlier steps of the steps of a run.
pub(super) struct Baselines<'a> {
    reader: &'a Reader,
    run: &'a RunRow,
    steps: &'a [StepRow],
    /// Keyed by fan-out.
    known: RefCell<HashMap<StepId, Items>>,
}

/// Earlier steps of the items of a fan-out.
#[derive(Default)]
struct Items {
    /// Each is asked for once.
    found: HashMap<StepId, (RunId, StepRow)>,
    /// True if the items that were not found are in no earlier run.
    is_complete: bool,
}

impl<'a> Baselines<'a> {
    pub(super) fn new(reader: &'a Reader, run: &'a RunRow, steps: &'a [StepRow]) -> Baselines<'a> {
        Baselines { reader, run, steps, known: RefCell::default() }
    }

    /// The same step of the run that this one repeats, if that has it; else of the newest earlier run of the workflow that
    /// has it. `only` is the only step that is asked for.
    pub(super) fn of(&self, step: &StepRow, only: Option<&StepId>) -> Result<Option<(RunId, StepRow)>, CliError> {
        let Some(fan_out) = step.parent.as_ref().filter(|_| only != Some(&step.id)) else {
            return self.one(&step.id);
        };
        let mut known = self.known.borrow_mut();
        if !known.contains_key(fan_out) {
            known.insert(fan_out.clone(), self.items(fan_out)?);
        }
        let Some(items) = known.get_mut(fan_out) else { return Ok(None) };
        match items.found.remove(&step.id) {
            Some(found) => Ok(Some(found)),
            None if items.is_complete => Ok(None),
            None => self.one(&step.id),
        }
    }

    fn items(&self, fan_out: &StepId) -> Result<Items, CliError> {
        let Baselines { reader, run, .. } = self;
        let wanted = self.steps.iter().filter(|step| step.parent.as_ref() == Some(fan_out)).count();
        let mut items = Items::default();
        if let Some(source) = self.source() {
            items.add(source, reader.children(source, fan_out)?);
        }
        let mut before = run.id;
        for _ in 0..MOST_RUNS {
            if items.found.len() >= wanted {
                break;
            }
            let Some(earlier) = reader.previous_fan_out(&run.workflow, fan_out, before)? else {
                items.is_complete = true;
                break;
            };
            let started = reader.children(earlier, fan_out)?.into_iter().filter(|child| child.key.is_some());
            items.add(earlier, started);
            before = earlier;
        }
        Ok(items)
    }

    fn source(&self) -> Option<RunId> {
        self.run.options.origin.as_ref().and_then(Origin::source)
    }

    fn one(&self, step: &StepId) -> Result<Option<(RunId, StepRow)>, CliError> {
        let Baselines { reader, run, .. } = self;
        if let Some(source) = self.source()
            && let Some(row) = reader.find_step(source, step)?
        {
            return Ok(Some((source, row)));
        }
        Ok(reader.previous_step(&run.workflow, step, run.id)?)
    }
}

impl Items {
    fn add(&mut self, run: RunId, rows: impl IntoIterator<Item = StepRow>) {
        for row in rows {
            self.found.entry(row.id.clone()).or_insert((run, row));
        }
    }
}

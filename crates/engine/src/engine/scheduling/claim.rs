//! Claims ready steps: resolves their arguments, computes their key, reuses earlier results, and leases the rest.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::executors::{AttemptId, Executor};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, too_much};
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::json::check_values;
use stepwell_base::secret::{self, StandIns};
use stepwell_run::command::AtClaim;
use stepwell_run::command::Command;
use stepwell_run::provenance::{FINGERPRINT, split_fingerprint};
use stepwell_run::run_options::Origin;
use stepwell_run::state::Step;
use stepwell_steps::{ProjectFiles, StepHandler, Surroundings, find};
use stepwell_workflow::catalog::Placement;
use stepwell_workflow::key::step_key;
use stepwell_workflow::pools::{Free, Held};
use stepwell_workflow::template::{self, Files, TemplateContext, TemplateError};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::scheduling::queue::{Candidate, Slots};
use crate::engine::state::attempts::Prepared;
use crate::engine::state::run::{Run, Stored};
use crate::error::EngineError;
use crate::options::Scope;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// The engine decided about the step.
    Taken,
    /// The step, like its whole class, waits for a slot, for units of a pool, or for a rate limit.
    Waits,
}

/// Decision about a ready step.
enum Plan {
    Command(Command),
    Attempt {
        command: Command,
        prepared: Prepared,
        inputs_changed: bool,
    },
    /// Start a child run with these params.
    Child {
        params: Map<String, Value>,
    },
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Fills the free slots.
    pub(crate) fn claim(&mut self) -> Result<(), EngineError> {
        self.pace.start_round();
        self.rate_windows.start_round();
        if self.stopping.is_some() || self.options.scope == Scope::Requests {
            return Ok(());
        }
        let (mut slots, mut decided) = (self.free_slots(), 0);
        // A decision can make steps ready that come before others.
        loop {
            let before = decided;
            self.claim_in_order(&mut slots, &mut decided)?;
            if decided == before || !self.pace.allows(decided) {
                break;
            }
        }
        self.pace.end_round(decided);
        Ok(())
    }

    /// Gives every class of steps its turn until the class must wait for something.
    fn claim_in_order(&mut self, slots: &mut Slots, decided: &mut usize) -> Result<(), EngineError> {
        let mut free = self.free_units();
        let mut queue = self.queue(self.clock.now());
        while self.pace.allows(*decided)
            && let Some(Reverse(candidate)) = queue.pop()
        {
            if self.claim_next(&candidate, slots, &mut free)? == Turn::Waits {
                continue;
            }
            *decided += 1;
            queue.extend(self.next_in_class(&candidate).map(Reverse));
        }
        Ok(())
    }

    fn claim_next(&mut self, candidate: &Candidate, slots: &mut Slots, free: &mut Free) -> Result<Turn, EngineError> {
        let reads_store = |active: &Run| !active.reads_from_store(active.state.step_at(candidate.step)).is_empty();
        if self.runs.get(&candidate.run).is_some_and(reads_store) && self.must_commit() {
            // The inputs of the step may be decided but not yet written.
            self.flush()?;
        }
        let Some(active) = self.runs.get(&candidate.run) else { return Ok(Turn::Waits) };
        let class = active.state.class(candidate.class).clone();
        let in_child = class.placement == Placement::Child;
        let executor = self.options.limits.executors.of(&class).map(str::to_owned);
        if in_child && !slots.has(executor.as_deref())
            || !self.rate_windows.allow(&class, &self.options.limits, self.clock.now())
        {
            return Ok(Turn::Waits);
        }
        let refusal = self.options.limits.check(&class).err();
        let (mut held, mut rest) = (Held::new(), None);
        if !class.demand.is_empty() && refusal.is_none() {
            let rest = rest.insert(free.clone());
            match rest.take(&class.demand) {
                Some(units) => held = units,
                None => {
                    *free = rest.clone();
                    return Ok(Turn::Waits);
                }
            }
        }
        let run = candidate.run;
        let Some(active) = self.runs.get(&run) else { return Ok(Turn::Waits) };
        let step = active.state.step_at(candidate.step);
        let (id, fence) = (step.id.clone(), Fence(step.fence.0 + 1));
        match (self.plan(active, step, held)?, refusal) {
            (Plan::Command(command), _) => self.handle(run, command),
            (Plan::Child { params }, _) => self.start_child(run, id, &params)?,
            (Plan::Attempt { .. }, Some(failure)) => self.handle(run, Command::Reject { step: id, failure }),
            (Plan::Attempt { command, mut prepared, inputs_changed }, None) => {
                prepared.executor.clone_from(&executor);
                self.prepared.insert(AttemptId { run, step: id.clone(), fence }, prepared);
                self.handle(run, command);
                self.rate_windows.count_start(&class, self.clock.now());
                if inputs_changed {
                    self.start_over(run, id.clone(), fence);
                }
                if in_child {
                    slots.take(executor.as_deref());
                    if let Some(rest) = rest {
                        *free = rest;
                    }
                } else {
                    self.attempt_inline(AttemptId { run, step: id, fence })?;
                }
            }
        }
        Ok(Turn::Taken)
    }

    /// Discards checkpoints of other inputs and sets its scratch files aside, which must not leak into this attempt. A fork restarts
    /// from the checkpoint that it was made for.
    fn start_over(&mut self, run: RunId, step: StepId, fence: Fence) {
        let forked_at = self.runs.get(&run).and_then(|run| run.forked_at(&step));
        let last_step = forked_at.unwrap_or(0);
        let from = forked_at.map_or_else(|| "the beginning".to_owned(), |at| format!("training step {at}"));
        let aside =
            self.move_scratch_away(run, &step).map(|folder| format!("; its files were moved to {}", folder.display()));
        let aside = aside.unwrap_or_default();
        let message = format!("the inputs have changed since the last attempt: starting from {from}{aside}");
        self.handle(run, Command::Note { step: step.clone(), fence, message });
        self.handle(run, Command::Rewind { step: step.clone(), fence, last_step });
    }

    fn plan(&self, run: &Run, step: &Step, held: Held) -> Result<Plan, EngineError> {
        let spec = run.state.step_spec(step);
        let id = step.id.clone();
        let mut stored = Stored::new();
        for need in run.reads_from_store(step) {
            let outputs = self.store.reader().child_outputs(run.state.run, &need)?;
            stored.insert(need, outputs);
        }
        let reject = |failure| Ok(Plan::Command(Command::Reject { step: id.clone(), failure }));
        if step.parent.is_none() {
            if let Some(condition) = &spec.when {
                match run.with_context(step, &stored, |context| template::condition(condition, context)) {
                    Ok(true) => {}
                    Ok(false) => {
                        let reason = format!("`when` is false: {condition}");
                        return Ok(Plan::Command(Command::Skip { step: id, reason }));
                    }
                    Err(error) => return reject(explain(&error)),
                }
            }
            if let Some(list) = &spec.for_each {
                let files: Arc<dyn Files> = Arc::new(ProjectFiles::new(run.project_folder()));
                let items = run.with_context(step, &stored, |context| {
                    template::items(list, &TemplateContext { files: Some(files), ..context.clone() })
                });
                return match items {
                    Ok(items) => match check_values(&items) {
                        Ok(()) => Ok(Plan::Command(Command::Expand { step: id, items })),
                        Err(error) => reject(too_much("the items of `for_each`", error)),
                    },
                    Err(error) => reject(explain(&error)),
                };
            }
        }
        let Some(handler) = find(&spec.kind) else {
            let failure = Failure::fatal(format!("this build has no step kind `{}`", spec.kind));
            return reject(failure.with_hint("build with the feature that has it, such as `--features flex`"));
        };
        let (revealing, secrets, with) = match resolve(run, step, &stored) {
            Ok(resolved) => resolved,
            Err(error) => return reject(explain(&error)),
        };
        if let Err(error) = check_values([&with]) {
            return reject(too_much("the arguments of the step", error));
        }
        match handler.at_claim(&with) {
            Ok(Some(AtClaim::Wait(wait))) => return Ok(Plan::Command(Command::Wait { step: id, wait })),
            Ok(Some(AtClaim::Rule { ruling, on_false })) => {
                return Ok(Plan::Command(Command::Rule { step: id, ruling, on_false }));
            }
            Ok(Some(AtClaim::StartChild { params })) => return Ok(Plan::Child { params }),
            Ok(None) => {}
            Err(failure) => return reject(failure),
        }
        let earlier = if step.key.is_some() { self.store.reader().find_step(run.state.run, &step.id)? } else { None };
        let earlier = earlier.and_then(|row| row.with).map(|recorded| split_fingerprint(&recorded).1);
        let is_file = spec.for_each.as_ref().is_some_and(|list| template::uses_glob(list));
        let file = step.item.as_ref().filter(|_| is_file).and_then(|(_, item)| item.as_str());
        let surroundings = Surroundings { project: run.project_folder(), file, earlier: earlier.as_ref() };
        let fingerprint = match handler.fingerprint_in(&with, &surroundings) {
            Ok(fingerprint) => fingerprint,
            Err(failure) => return reject(failure),
        };
        let prepared = Prepared { with: revealing, secrets, fingerprint, executor: None };
        self.plan_attempt(run, step, handler, with, prepared, held)
    }

    fn plan_attempt(
        &self,
        run: &Run,
        step: &Step,
        handler: &dyn StepHandler,
        with: Value,
        prepared: Prepared,
        resources: Held,
    ) -> Result<Plan, EngineError> {
        let id = step.id.clone();
        let fingerprint = &prepared.fingerprint;
        let key = step_key(handler.kind(), handler.version(), &with, fingerprint);
        let mut recorded = with.clone();
        if let (Value::Object(arguments), false) = (&mut recorded, fingerprint.is_null()) {
            arguments.insert(FINGERPRINT.to_owned(), fingerprint.clone());
        }
        if let Some((from, outputs)) = self.done_before(run, step, handler.reusable(&with), &key)? {
            return Ok(Plan::Command(Command::Reuse { step: id, key, with: recorded, from, outputs }));
        }
        let inputs_changed = step.key.as_ref().is_some_and(|earlier| *earlier != key);
        let command = Command::Claim { step: id, key, with: recorded, resources };
        Ok(Plan::Attempt { command, prepared, inputs_changed })
    }

    /// Returns the outputs of an equal step: from the run that this one repeats, whatever the kind; otherwise from any
    /// run.
    fn done_before(
        &self,
        run: &Run,
        step: &Step,
        reusable: bool,
        key: &StepKey,
    ) -> Result<Option<(RunId, Outputs)>, EngineError> {
        if !run.options.reuse.allows(&run.state.step_spec(step).id) {
            return Ok(None);
        }
        if let Some(source) = run.options.origin.as_ref().and_then(Origin::source)
            && let Some(row) = self.store.reader().find_step(source, &step.id)?
            && row.key.as_ref() == Some(key)
            && let Some(outputs) = row.outputs
            && self.is_present(&outputs)
        {
            return Ok(Some((source, outputs)));
        }
        let found = if reusable { self.store.reader().find_reusable(key)? } else { None };
        Ok(found.filter(|(_, outputs)| self.is_present(outputs)))
    }

    /// True if all files of earlier outputs still exist. Each reader verifies their content.
    fn is_present(&self, outputs: &Outputs) -> bool {
        outputs.artifacts.values().all(|artifact| self.has_files(artifact))
    }

    fn has_files(&self, artifact: &ArtifactRef) -> bool {
        let path = self.artifacts.blob_path(&artifact.digest);
        let whole = path.metadata().is_ok_and(|metadata| metadata.len() == artifact.size);
        let entries =
            || self.artifacts.read_tree(artifact).is_ok_and(|t| t.entries.values().all(|e| self.has_files(e)));
        whole && (!artifact.is_tree() || entries())
    }
}

/// Returns the arguments of a step in the form for its attempt, with stand-ins; the secrets that they use; and the form
/// to store, with names of secrets.
fn resolve(run: &Run, step: &Step, stored: &Stored) -> Result<(Value, StandIns, Value), TemplateError> {
    let (spec, sources) = (run.state.step_spec(step), &run.state.spec().secrets);
    if sources.is_empty() {
        let with = run.with_context(step, stored, |context| template::resolve(&spec.with, context))?;
        return Ok((with.clone(), StandIns::new(), with));
    }
    let stand_ins = secret::stand_ins(sources, Uuid::now_v7());
    let with = run.with_context(step, stored, |context| {
        template::resolve(&spec.with, &TemplateContext { secrets: &stand_ins, ..context.clone() })
    })?;
    let (named, used) = secret::named(&with, &stand_ins, sources);
    Ok((with, used, named))
}

fn explain(error: &TemplateError) -> Failure {
    let failure = Failure::fatal(error.to_string());
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

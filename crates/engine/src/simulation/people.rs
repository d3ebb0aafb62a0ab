//! Simulates people: their requests, and the help that a state needs to reach its end after the faults.

use jiff::SignedDuration;
use serde_json::Value;

use crate::inbox::Message;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::RunName;
use stepwell_run::event::{Verdict, Wait};
use stepwell_run::request::Request;
use stepwell_run::run_options::{Origin, Reuse, RunOptions};
use stepwell_store::{Adoption, NewRun, ScheduleOptions, ScheduleRow, StoreError};
use stepwell_workflow::budget::Budget;
use stepwell_workflow::key;
use stepwell_workflow::spec::WorkflowSpec;
use stepwell_workflow::timetable::CatchUp;

use super::contract::{Phase, State};
use super::happening::Happening;
use super::workflow::{self, index, one_in, signal_name};
use super::world::{Tracing, World, short};

/// Maximum number of runs that people submit per seed.
const MOST_RUNS: usize = 5;
/// Number of times that people return to work that does not end.
const PATIENCE: u32 = 60;
const SCHEDULE: &str = "nightly";

impl World {
    fn mark(&mut self) -> String {
        self.marks += 1;
        format!("mark {}", self.marks)
    }

    /// Leaves a request and wakes the engine after a delay, perhaps twice.
    pub fn ask(&mut self, run: RunId, request: &Request) {
        self.note(format_args!("asked: {} {request:?}", short(run)));
        let at = self.time.wall();
        let id = self.client.request(run, request, at).expect("a request is stored");
        let mark = match request {
            Request::Pause { reason } => Some(reason.clone()),
            Request::Decide { approver, .. } => Some(approver.clone()),
            Request::Signal { payload, .. } => payload.as_str().map(str::to_owned),
            _ => None,
        };
        let pauses = matches!(request, Request::Pause { .. });
        if matches!(request, Request::Resume | Request::Retry { .. }) {
            self.resumable.insert(run);
        }
        self.requests.insert(id, (mark.unwrap_or_default(), pauses));
        self.wake();
    }

    fn wake(&mut self) {
        let most = if self.is_unlucky(4) { 3000 } else { 10 };
        self.soon(most, Happening::Wake);
        if self.is_unlucky(4) {
            self.soon(3000, Happening::Wake);
        }
    }

    pub fn submit(&mut self, spec: WorkflowSpec, name: &str, options: RunOptions, adoption: Option<Adoption>) {
        let id = RunId(self.new_id());
        let name: RunName = name.parse().expect("the simulator gives valid names");
        let at = self.time.wall();
        let spec_digest = key::spec_digest(&spec);
        let new = NewRun { id, name, spec, spec_digest, idempotency_key: None, options, at };
        let submitted = match adoption {
            Some(adoption) => self.client.submit_fork(new, &adoption),
            None => self.client.submit(new),
        };
        match submitted {
            Ok(_) => self.note(format_args!("submitted: {}", short(id))),
            // The source's checkpoint was dropped meanwhile.
            Err(StoreError::CheckpointGone { .. }) => self.note("too late to fork"),
            Err(error) => panic!("a run cannot be submitted: {error}"),
        }
        self.sync();
        self.wake();
    }

    pub fn submit_random(&mut self) {
        let name = format!("w{}", self.contract.runs.len());
        let text = workflow::random(&mut self.rng, &name);
        if self.tracing != Tracing::Off {
            self.note(format_args!("the workflow {name}:\n{text}"));
        }
        let options = RunOptions { priority: self.rng.below(3) as i32, ..RunOptions::default() };
        self.submit(workflow::parse(&text), &name, options, None);
    }

    pub fn add_schedule(&mut self) {
        let now = self.time.wall();
        let catch_up = [CatchUp::All, CatchUp::Latest, CatchUp::None][index(&mut self.rng, 3)];
        let schedule = ScheduleRow {
            name: SCHEDULE.to_owned(),
            cron: "* * * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            spec: workflow::parse(&workflow::scheduled()),
            options: ScheduleOptions { catch_up, ..ScheduleOptions::default() },
            created_at: now,
            paused_at: None,
            done_until: now,
        };
        self.client.add_schedule(&schedule).expect("a schedule is stored");
        self.has_schedule = true;
        self.wake();
    }

    fn pause_schedule(&mut self, paused: bool) {
        let now = self.time.wall();
        let changed = match paused {
            true => self.client.pause_schedule(SCHEDULE, now),
            false => self.client.resume_schedule(SCHEDULE, now),
        };
        changed.expect("a schedule can be changed");
        self.schedule_paused_at = paused.then_some(self.time.elapsed);
        self.note(format_args!("the schedule is {}", if paused { "paused" } else { "resumed" }));
        self.wake();
    }

    fn some_run(&mut self) -> Option<RunId> {
        let ids: Vec<RunId> = self.contract.runs.keys().copied().collect();
        if ids.is_empty() { None } else { Some(ids[index(&mut self.rng, ids.len())]) }
    }

    fn some_step(&mut self, run: RunId, is: impl Fn(&State) -> bool) -> Option<StepId> {
        let steps = self.contract.runs[&run].steps.iter().filter(|(_, step)| is(&step.state));
        let steps: Vec<StepId> = steps.map(|(id, _)| id.clone()).collect();
        if steps.is_empty() { None } else { Some(steps[index(&mut self.rng, steps.len())].clone()) }
    }

    /// Makes a random request of a person.
    pub fn wish(&mut self) {
        self.sync();
        let Some(run) = self.some_run() else { return };
        match self.rng.below(16) {
            0 | 1 => {
                let reason = if one_in(&mut self.rng, 4) { "its parent run is paused".to_owned() } else { self.mark() };
                self.ask(run, &Request::Pause { reason });
            }
            2 | 3 => self.ask(run, &Request::Resume),
            4 if one_in(&mut self.rng, 2) => self.ask(run, &Request::Cancel),
            4..=6 => {
                let asked = |state: &State| matches!(state, State::Waiting(Wait::Approval { .. }));
                let Some(step) = self.some_step(run, asked) else { return };
                let verdict = if one_in(&mut self.rng, 3) { Verdict::Rejected } else { Verdict::Approved };
                let approver = self.mark();
                self.ask(run, &Request::Decide { step, verdict, approver, comment: None });
            }
            7..=9 => {
                let payload = Value::from(self.mark());
                let name = signal_name(&mut self.rng).to_owned();
                self.ask(run, &Request::Signal { name, payload });
            }
            10 | 11 => {
                let failed = self.some_step(run, |state| *state == State::Failed);
                let step = failed.filter(|_| one_in(&mut self.rng, 2));
                self.ask(run, &Request::Retry { step });
            }
            12 => self.ask(run, &Request::RaiseBudget { to: budget(100) }),
            13 if self.has_schedule => {
                let paused = one_in(&mut self.rng, 2);
                self.pause_schedule(paused);
            }
            14 if self.contract.runs.len() < 2 * MOST_RUNS => self.again(run),
            _ if self.contract.runs.len() < MOST_RUNS => self.submit_random(),
            _ => {}
        }
    }

    /// Submits a rerun or a fork.
    fn again(&mut self, run: RunId) {
        let source = &self.contract.runs[&run];
        let spec = source.spec.clone();
        let from = spec.steps[index(&mut self.rng, spec.steps.len())].id.clone();
        let name = format!("again{}", self.contract.runs.len());
        let checkpoints = self.client.reader().checkpoints(run, &from).expect("checkpoints can be read");
        let fork = one_in(&mut self.rng, 2);
        let chosen = if fork && !checkpoints.is_empty() {
            Some(checkpoints[index(&mut self.rng, checkpoints.len())].checkpoint.clone())
        } else {
            None
        };
        let origin = match (fork, &chosen) {
            (false, _) => Origin::Rerun { run, from_step: from.clone() },
            (true, checkpoint) => {
                let train_step = checkpoint.as_ref().and_then(|checkpoint| checkpoint.last_step);
                Origin::Fork { run, at: from.clone(), train_step }
            }
        };
        let reuse = Reuse::Except(spec.with_descendants(&from));
        let options = RunOptions { reuse, origin: Some(origin), ..RunOptions::default() };
        let adoption = chosen.map(|checkpoint| Adoption { step: from, from: run, checkpoint });
        self.submit(spec, &name, options, adoption);
    }

    /// Ends the faults. From now on everything must end, even a step that needs all of every pool.
    pub fn heal(&mut self) {
        if !std::mem::replace(&mut self.faults, false) {
            return;
        }
        self.note("no more faults");
        self.crash_in = None;
        self.agenda.retain(|happening| !matches!(happening, Happening::Wish | Happening::Crash | Happening::Signal(_)));
        if self.has_schedule {
            self.pause_schedule(true);
        }
        let whole = workflow::parse(&workflow::whole_machine());
        self.submit(whole, "whole", RunOptions::default(), None);
    }

    /// Acts when nothing more happens by itself: people finish the remaining work or stop the engine. Returns false
    /// when they can do nothing.
    pub fn settle(&mut self) -> bool {
        self.sync();
        self.quiescences += 1;
        assert!(self.quiescences < PATIENCE, "the runs do not end:{}", self.open_runs());
        if self.faults {
            self.heal();
            return true;
        }
        let open: Vec<RunId> = self.contract.open().map(|(id, _)| *id).collect();
        if open.is_empty() {
            self.note("everything has ended");
            self.stopping.get_or_insert(self.time.elapsed);
            self.is_over = true;
            self.send(Message::Signal(15));
            return true;
        }
        let mut helped = false;
        for id in open {
            let run = &self.contract.runs[&id];
            let phase = run.phase;
            let waits: Vec<(StepId, Wait)> = run.waits().map(|(id, _, wait)| (id.clone(), wait.clone())).collect();
            let exhausted = run.alerts.contains(&stepwell_run::event::Alert::BudgetExhausted);
            match phase {
                Phase::Paused => {
                    if exhausted {
                        self.ask(id, &Request::RaiseBudget { to: budget(100_000) });
                    }
                    self.ask(id, &Request::Resume);
                    helped = true;
                }
                Phase::Active => {
                    for (step, wait) in waits {
                        match wait {
                            Wait::Approval { .. } => {
                                let (verdict, approver) = (Verdict::Approved, self.mark());
                                self.ask(id, &Request::Decide { step, verdict, approver, comment: None });
                                helped = true;
                            }
                            Wait::Signal { name } => {
                                let payload = Value::from(self.mark());
                                self.ask(id, &Request::Signal { name, payload });
                                helped = true;
                            }
                            Wait::Run { .. } => {}
                        }
                    }
                }
                _ => {}
            }
        }
        helped
    }

    /// Checks that every request has one answer and took effect once, or never if it was refused.
    pub fn check_requests(&mut self) {
        let pending = self.client.reader().pending_requests().expect("requests can be read");
        assert!(pending.is_empty(), "requests without an answer: {pending:?}");
        for (id, (mark, pauses)) in &self.requests {
            let pauses = *pauses;
            let Some(answer) = self.client.reader().answer(*id).expect("an answer can be read") else { continue };
            let count = self.contract.marks.get(mark).copied().unwrap_or(0);
            let once = match &answer.refusal {
                _ if mark.is_empty() => true,
                Some(_) => count == 0,
                // A run that is already paused stays unchanged.
                None => count == 1 || pauses && count == 0,
            };
            assert!(once, "request {id} ({mark}) has {count} effects; its answer: {answer:?}");
        }
    }
}

fn budget(seconds: u64) -> Budget {
    Budget { maximum_compute: Some(std::time::Duration::from_secs(seconds)), ..Budget::default() }
}

/// Returns a jump of the wall clock of up to a year.
pub(super) fn jump(rng: &mut stepwell_base::rng::Rng) -> SignedDuration {
    let seconds = match rng.below(3) {
        0 => rng.below(100),
        1 => rng.below(86_400),
        _ => rng.below(365 * 86_400),
    };
    let span = SignedDuration::from_secs(seconds as i64);
    if one_in(rng, 2) { span } else { -span }
}

//! Reacts to the messages in the inbox.

use crate::executors::{AttemptId, Executor, Exit, JobFolder, Report, Sweep};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::{Failure, FailureKind, OUT_OF_MEMORY_HINT};
use stepwell_base::protocol::{FromAttempt, ToAttempt};
use stepwell_run::command::Command;
use stepwell_run::estimate::ProgressMark;
use stepwell_steps::{find, last_lines};
use stepwell_store::{UsageWrite, attempt_log, scratch_dir};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::attempts::{ASKED_TO_STOP, EXIT_GRACE, Ending, REAP_PAUSE, Running};
use crate::engine::stop::{Stop, stopped};
use crate::error::EngineError;
use crate::inbox::Message;

/// Log lines to quote in the failure of an attempt that died without a message.
const LOG_LINES: usize = 10;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    pub(crate) fn on_message(&mut self, message: Message) -> Result<(), EngineError> {
        match message {
            Message::Attempt(id, worker, report) => {
                // A worker that dies before it receives the attempt still reports its end, although another worker has
                // the attempt.
                if let Some(running) = self.attempts.get_mut(&id).filter(|running| running.handle.worker() == worker) {
                    running.reports += 1;
                    self.on_report(id, report)?;
                }
            }
            Message::Signal(signal) => self.stop(Stop::for_signal(signal)),
            Message::Wake => {
                self.answer_requests()?;
                self.take_clean_up();
                self.load_schedules()?;
            }
            Message::CleanUp(progress) => self.on_clean_up(progress),
            Message::Warning(text) => self.observer.warn(&text),
            Message::Told { end, problem } => self.on_told(end, problem),
        }
        Ok(())
    }

    fn on_report(&mut self, id: AttemptId, report: Report) -> Result<(), EngineError> {
        match report {
            Report::Message(FromAttempt::Checkpoint(checkpoint)) if self.is_committed(&id, &checkpoint)? => {
                self.acknowledge(&id);
            }
            Report::Message(message) => self.on_attempt_message(id, message),
            Report::Last(message) => {
                self.on_attempt_message(id.clone(), message);
                self.reap(&id);
            }
            Report::Garbled(why) => self.end(&id, Ending::Fail(Failure::fatal(why)), true),
            Report::Ended => self.reap(&id),
        }
        Ok(())
    }

    /// True for a checkpoint that an earlier engine has committed: it died before it acknowledged it. Only the first checkpoint of an
    /// adopted attempt can be one.
    fn is_committed(&mut self, id: &AttemptId, checkpoint: &Checkpoint) -> Result<bool, EngineError> {
        let Some(running) = self.attempts.get_mut(id) else { return Ok(false) };
        let number = running.number;
        if !std::mem::take(&mut running.adopted) {
            return Ok(false);
        }
        let rows = self.store.reader().checkpoints(id.run, &id.step)?;
        Ok(rows.first().is_some_and(|row| row.attempt == number && row.checkpoint == *checkpoint))
    }

    fn acknowledge(&mut self, id: &AttemptId) {
        if let Some(running) = self.attempts.get_mut(id) {
            running.handle.send(&ToAttempt::CheckpointCommitted);
        }
    }

    fn on_attempt_message(&mut self, id: AttemptId, message: FromAttempt) {
        // This engine does not run the attempt, so its fence is void.
        let instant = self.clock.instant();
        let Some(running) = self.attempts.get_mut(&id) else { return };
        if running.silenced {
            return;
        }
        let number = running.number;
        let AttemptId { run, step, fence } = id.clone();
        match message {
            FromAttempt::Heartbeat => self.handle(run, Command::Heartbeat { step, fence }),
            // The executor handles these messages itself.
            FromAttempt::Group { .. } | FromAttempt::Idle => {}
            FromAttempt::Progress(progress) => {
                running.progress = Some(ProgressMark::after(running.progress, &progress, self.clock.now()));
                self.observer.progress(run, &step, &progress);
            }
            FromAttempt::Metric(row) => self.queue_metric(run, step, number, row),
            FromAttempt::Series(change) => self.queue_series(run, step, number, change),
            FromAttempt::Usage(usage) => {
                let at = self.clock.now();
                self.pending.usages.push(UsageWrite { run, step, attempt: number, at, usage });
            }
            FromAttempt::Rewind { last_step } => {
                self.pending.rewind(run, &step, last_step);
                self.handle(run, Command::Rewind { step, fence, last_step });
            }
            FromAttempt::Checkpoint(checkpoint) => {
                // The progress is written together with the lease, so both describe the same moment.
                self.handle(run, Command::Heartbeat { step: step.clone(), fence });
                self.handle(run, Command::Checkpoint { step, fence, checkpoint: *checkpoint });
            }
            FromAttempt::Note { message } => self.handle(run, Command::Note { step, fence, message }),
            FromAttempt::Done(outputs) => {
                running.ending = Some(Ending::Done);
                running.silenced = true;
                running.kill_by(instant + EXIT_GRACE);
                self.handle(run, Command::Complete { step, fence, outputs });
            }
            FromAttempt::Failed(failure) => {
                let ending = if failure.kind == FailureKind::NoSpace {
                    let stop = Stop::for_full_disk(&failure, failure.needed_bytes);
                    self.stop(stop.clone());
                    Ending::Release(stop.reason)
                } else {
                    Ending::Fail(failure)
                };
                self.end(&id, ending, false);
            }
            FromAttempt::Interrupted => {
                let reason = self.stopping.as_ref().map(|stop| stop.reason.clone());
                let reason = reason.unwrap_or_else(|| ASKED_TO_STOP.to_owned());
                self.end(&id, Ending::Release(reason), false);
            }
        }
    }

    /// Records how an attempt ends. An earlier ending stands.
    pub(crate) fn end(&mut self, id: &AttemptId, ending: Ending, now: bool) {
        let instant = self.clock.instant();
        let Some(running) = self.attempts.get_mut(id) else { return };
        running.ending.get_or_insert(ending);
        running.silenced = true;
        if now {
            running.handle.kill();
        } else {
            running.kill_by(instant + EXIT_GRACE);
        }
    }

    /// Ends everything that an ended attempt left, and reports the attempt once all of it is dead.
    pub(crate) fn reap(&mut self, id: &AttemptId) {
        let instant = self.clock.instant();
        let Some(running) = self.attempts.get_mut(id) else { return };
        running.ended = true;
        let canceling = self.runs.get(&id.run).is_some_and(|run| run.state.is_canceling());
        let sweep =
            if running.ending == Some(Ending::Done) && !canceling { Sweep::Group } else { Sweep::GroupAndMarked };
        let exit = running.handle.reap(sweep);
        if !exit.survivors.is_empty() {
            running.kill_by(instant + REAP_PAUSE);
            return;
        }
        if let Some(running) = self.attempts.remove(id) {
            self.clean_ups.attempt_ended(id.holder());
            self.report(id, running, &exit);
        }
    }

    fn report(&mut self, id: &AttemptId, running: Running, exit: &Exit) {
        let AttemptId { run, step, fence } = id.clone();
        let canceling = self.runs.get(&run).is_some_and(|run| run.state.is_canceling());
        let ending = match (running.ending.clone(), &self.stopping) {
            (Some(ending), _) => ending,
            (None, _) if canceling => Ending::Cancel,
            (None, Some(stop)) => Ending::Release(stop.reason.clone()),
            (None, None) if running.interrupted => Ending::Release(ASKED_TO_STOP.to_owned()),
            (None, None) => Ending::Fail(self.vanished(id, &running, exit)),
        };
        match ending {
            Ending::Done => {
                let scratch = scratch_dir(&self.options.state_dir, run, &step);
                if running.executor.is_some() {
                    self.janitor.remove(JobFolder::of(&scratch, fence).path().to_owned());
                }
                self.janitor.remove(scratch);
            }
            Ending::Fail(failure) => self.handle(run, Command::Fail { step, fence, failure }),
            Ending::Release(reason) => self.handle(run, stopped(step, fence, reason)),
            Ending::Cancel => self.handle(run, Command::Killed { step, fence }),
        }
    }

    fn vanished(&self, id: &AttemptId, running: &Running, exit: &Exit) -> Failure {
        let path = attempt_log(&self.options.state_dir, id.run, &id.step, running.number);
        let log = last_lines(&path, LOG_LINES);
        // The engine records the ends that it causes, so this one is the worker's own.
        let mut message = match exit.out_of_memory {
            true => "the worker was killed for lack of memory".to_owned(),
            false => format!("the worker {exit} before the step was done"),
        };
        if !log.is_empty() {
            message.push_str("; its last lines:\n");
            message.push_str(&log);
        }
        if exit.out_of_memory && !self.survives_memory_kills(id) {
            return Failure::new(FailureKind::OutOfMemory, message).with_hint(OUT_OF_MEMORY_HINT);
        }
        Failure::new(FailureKind::LeaseLost, message).with_hint(format!("its log is `{}`", path.display()))
    }

    /// True if the kind of the step finds the work that needed too much memory, and leaves it out.
    fn survives_memory_kills(&self, id: &AttemptId) -> bool {
        let Some(state) = self.runs.get(&id.run).map(|run| &run.state) else { return false };
        let kind = state.step(&id.step).map(|step| &state.step_spec(step).kind);
        kind.and_then(|kind| find(kind)).is_some_and(|handler| handler.survives_memory_kills())
    }

    pub(crate) fn fail(&mut self, id: AttemptId, failure: Failure) {
        let AttemptId { run, step, fence } = id;
        if failure.kind == FailureKind::NoSpace {
            let stop = Stop::for_full_disk(&failure, failure.needed_bytes);
            self.stop(stop.clone());
            self.handle(run, stopped(step, fence, stop.reason));
        } else {
            self.handle(run, Command::Fail { step, fence, failure });
        }
    }
}

//! Everything outside the engine: time, worker processes, people, faults, and the judge of commits.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jiff::Timestamp;
use uuid::{Builder, Uuid};

use crate::executors::{AttemptId, Exit, Launch, Report, Sweep, WorkerId};
use crate::inbox::Message;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::FailureKind;
use stepwell_base::ids::RunId;
use stepwell_base::protocol::{FromAttempt, ToAttempt};
use stepwell_base::rng::Rng;
use stepwell_run::event::{Event, PauseCause, ProcessIdentity, Recorded, RunEvent, Wait};
use stepwell_store::Store;

use super::contract::{Contract, Phase, State, Witness, check_pools};
use super::happening::{Agenda, Happening};
use super::time::Time;
use super::worker::{Act, Luck, Process, checkpoint};
use super::workflow::one_in;

pub(super) type Shared = Rc<RefCell<World>>;

/// Panic payload that unwinds the engine's stack when it dies.
pub(super) struct Crash;

/// Maximum number of rounds in which no time passes and no message arrives.
const BUSY: u32 = 3000;
/// Number of committed events kept, because the observer may still report them.
const RECENT: usize = 3000;
/// Longest delay between a deadline and the engine's next look at its clock.
const PUNCTUAL: Duration = Duration::from_millis(100);
/// Time that people wait for something to happen by itself.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest time that an engine waits after a full disk.
const TROUBLE: Duration = Duration::from_secs(180);
/// Simulated time within which everything must end after the faults.
const HEALED_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);

/// Treatment of the trace lines, which take a tenth of the time of a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tracing {
    Off,
    Keep,
    Print,
}

pub(super) enum Passed {
    Something,
    Everything,
    Crash,
}

pub(super) struct World {
    pub rng: Rng,
    pub time: Time,
    pub agenda: Agenda,
    pub contract: Contract,
    /// Database connection of other processes.
    pub client: Store,
    pub processes: BTreeMap<u32, Process>,
    /// Outputs that attempts have sent.
    done: BTreeMap<AttemptId, Outputs>,
    next_pid: u32,
    pub inbox: Option<SyncSender<Message>>,
    /// Number of engines so far.
    pub engine: u32,
    pub slots: usize,
    /// Number of interposed calls until the engine dies.
    pub crash_in: Option<u32>,
    pub faults: bool,
    /// One step kills its engine each time.
    pub poison: bool,
    /// A process of an earlier engine survives, so the engine may refuse to start.
    pub survivors: bool,
    /// The engine drives every run, so nothing may be left undone when it sleeps.
    pub drives_all: bool,
    /// Time at which the engine was asked to stop.
    pub stopping: Option<Duration>,
    pub quiescences: u32,
    /// Last time that the engine woke up, in its own time and in awake time.
    looked: Option<(Timestamp, Duration)>,
    busy: u32,
    waited_at: Duration,
    pub rounds: u64,
    pub marks: u64,
    /// Mark of each request, and true for a pause.
    pub requests: BTreeMap<i64, (String, bool)>,
    pub trace: Vec<String>,
    pub tracing: Tracing,
    pub has_schedule: bool,
    pub schedule_paused_at: Option<Duration>,
    /// Runs that a person has ever asked to resume.
    pub resumable: BTreeSet<RunId>,
    /// All runs have ended.
    pub is_over: bool,
    /// Time until which an engine may wait for space.
    pub trouble_until: Duration,
    recent: VecDeque<(RunId, Event)>,
    /// Last heartbeats and lease lengths, in monotonic time.
    beats: BTreeMap<AttemptId, (Duration, Duration)>,
}

/// Panics if the contract is broken.
pub(super) fn keep(checked: Result<(), String>) {
    if let Err(broken) = checked {
        panic!("{broken}");
    }
}

/// Marks a place at which the engine may die.
pub(super) fn point(world: &Shared) {
    let dies = {
        let mut world = world.borrow_mut();
        match &mut world.crash_in {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    };
    if dies {
        crash(world);
    }
}

pub(super) fn crash(world: &Shared) -> ! {
    world.borrow_mut().note("the engine dies");
    resume_unwind(Box::new(Crash))
}

impl World {
    pub fn new(seed: u64, client: Store, slots: usize, tracing: Tracing) -> World {
        World {
            rng: Rng::new(seed),
            time: Time::new(),
            agenda: Agenda::default(),
            contract: Contract::default(),
            client,
            processes: BTreeMap::new(),
            done: BTreeMap::new(),
            next_pid: 1000,
            inbox: None,
            engine: 0,
            slots,
            crash_in: None,
            faults: true,
            poison: false,
            survivors: false,
            drives_all: false,
            stopping: None,
            quiescences: 0,
            looked: None,
            busy: 0,
            waited_at: Duration::ZERO,
            rounds: 0,
            marks: 0,
            requests: BTreeMap::new(),
            trace: Vec::new(),
            tracing,
            has_schedule: false,
            schedule_paused_at: None,
            resumable: BTreeSet::new(),
            is_over: false,
            trouble_until: Duration::ZERO,
            recent: VecDeque::new(),
            beats: BTreeMap::new(),
        }
    }

    pub fn note(&mut self, what: impl std::fmt::Display) {
        if self.tracing == Tracing::Off {
            return;
        }
        let line = format!("{:>9.3} {what}", self.time.elapsed.as_secs_f64());
        if self.tracing == Tracing::Print {
            eprintln!("{line}");
        }
        self.trace.push(line);
    }

    /// Returns true once in `count` calls on average, but never after the faults.
    pub fn is_unlucky(&mut self, count: u64) -> bool {
        self.faults && one_in(&mut self.rng, count)
    }

    pub fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(1 + self.rng.below(most))
    }

    pub fn soon(&mut self, most_millis: u64, happening: Happening) {
        let at = self.time.elapsed + self.millis(most_millis);
        self.agenda.add(at, happening);
    }

    pub fn new_id(&mut self) -> Uuid {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.rng.next_u64().to_le_bytes());
        let millis = u64::try_from(self.time.wall().as_millisecond()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    pub fn send(&mut self, message: Message) {
        if let Some(inbox) = &self.inbox
            && inbox.try_send(message).is_err()
        {
            panic!("the simulator fills the inbox");
        }
    }

    // --- Commits

    /// Checks every event committed since the last call.
    pub fn sync(&mut self) {
        let rows = self.client.reader().events(None, self.contract.seq).expect("the log can be read");
        for row in rows {
            // Errors name the folder, which differs each time.
            if self.tracing != Tracing::Off {
                let state_dir = self.client.reader().state_dir().display().to_string();
                let line = describe(&row.event, &state_dir);
                self.note(format_args!("  #{} {} {line}", row.seq, short(row.run)));
            }
            self.recent.push_back((row.run, row.event.clone()));
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            let mut contract = std::mem::take(&mut self.contract);
            let spec = |run| self.client.reader().spec(run).expect("a workflow can be read");
            let checked = contract.take(&row, spec, self);
            self.contract = contract;
            keep(checked.map_err(|why| format!("event {} of run {}: {why}\n  {:?}", row.seq, row.run, row.event)));
        }
    }

    /// Checks that an observer hears only of committed events.
    pub fn check_is_committed(&mut self, recorded: &Recorded) {
        self.sync();
        let known = self.recent.iter().rev().any(|(run, event)| *run == recorded.run && *event == recorded.event);
        assert!(known, "an event is told before it is committed: {recorded:?}");
    }

    /// Checks that committed events stay, whatever dies.
    pub fn check_nothing_is_lost(&self) {
        let Some((run, event)) = self.contract.newest() else { return };
        let rows = self.client.reader().events(None, self.contract.seq - 1).expect("the log can be read");
        let kept = rows.first().is_some_and(|row| row.run == *run && row.event == *event);
        keep(if kept { Ok(()) } else { Err(format!("event {} is lost", self.contract.seq)) });
    }

    /// Checks before the engine sleeps that it has done everything it can. Returns the time at which it wakes up by
    /// itself.
    pub fn before_wait(&mut self, limit: Option<Duration>, engine_time: Timestamp) -> Option<Duration> {
        self.sync();
        self.rounds += 1;
        self.busy = if self.time.elapsed == self.waited_at { self.busy + 1 } else { 0 };
        self.waited_at = self.time.elapsed;
        assert!(self.busy < BUSY, "the engine works without an end");
        let checked = self.check_round(limit, engine_time);
        keep(checked);
        limit.map(|limit| self.time.elapsed + limit)
    }

    fn check_round(&self, limit: Option<Duration>, engine_time: Timestamp) -> Result<(), String> {
        check_pools(self.processes.values().filter(|process| process.is_alive()).map(|process| &process.resources))?;
        if limit.is_some_and(|limit| limit.is_zero()) {
            return Ok(());
        }
        self.check_stops()?;
        if !self.drives_all || self.stopping.is_some() || self.time.elapsed < self.trouble_until {
            return Ok(());
        }
        for (id, run) in &self.contract.runs {
            let whose = format!("run {} ({})", run.name, short(*id));
            self.check_family(run).map_err(|why| format!("{whose}: {why}"))?;
            if run.phase.has_ended() || run.phase == Phase::Canceling {
                continue;
            }
            for (step, entry, wait) in run.waits() {
                if let Wait::Signal { name } = wait
                    && run.signals.iter().any(|(sent, _)| sent == name)
                {
                    return Err(format!("{whose}: `{step}` waits for the signal `{name}`, which is there"));
                }
                let limit = run.step_spec(entry).timeout.schedule_to_close.zip(entry.ready_since);
                if run.phase == Phase::Active
                    && !matches!(wait, Wait::Run { .. })
                    && let (Some((limit, since)), Some((looked, _))) = (limit, self.looked)
                    && since + limit + PUNCTUAL < looked
                {
                    return Err(format!(
                        "{whose}: the time of `{step}` was over at {}, it is {engine_time}",
                        since + limit
                    ));
                }
            }
            // No process has told the engine of the run yet.
            if limit.is_none() && !self.agenda.has_wake() {
                let idle = run.steps.iter().find(|(_, step)| {
                    run.phase == Phase::Active && matches!(step.state, State::Ready { .. })
                        || matches!(step.state, State::Leased { .. })
                });
                if let Some((step, entry)) = idle {
                    return Err(format!("{whose}: the engine sleeps for ever and `{step}` is {:?}", entry.state));
                }
                if run.phase == Phase::Active && run.waits().next().is_none() {
                    return Err(format!("{whose}: the run goes on, but it waits for nothing"));
                }
                let limited = |(_, step, wait): &(_, &super::contract::Step, _)| {
                    let _: &&Wait = wait;
                    run.step_spec(step).timeout.schedule_to_close.is_some() && !matches!(wait, Wait::Run { .. })
                };
                if run.phase == Phase::Active
                    && let Some((step, ..)) = run.waits().find(limited)
                {
                    return Err(format!("{whose}: the engine sleeps for ever, but `{step}` has a time limit"));
                }
            }
        }
        Ok(())
    }

    /// Checks that every attempt that was told to stop has stopped after a while.
    fn check_stops(&self) -> Result<(), String> {
        let mine = |process: &Process| process.is_alive() && process.engine == self.engine;
        for (pid, process) in self.processes.iter().filter(|(_, process)| mine(process)) {
            let Some(run) = self.contract.runs.get(&process.id.run) else { continue };
            // A process may hang in the kernel for a few tries, and the engine may have been away.
            let slack = Duration::from_secs(4) + Duration::from_secs(1) * process.hangs;
            let grace = match run.phase {
                Phase::Paused => Duration::from_secs(10),
                Phase::Canceling => Duration::from_secs(5),
                _ => continue,
            };
            if self.looked.is_some_and(|(_, looked)| looked.saturating_sub(run.phase_since) > grace + slack) {
                return Err(format!(
                    "process {pid} of {} works for {:?} in a run that is {:?}",
                    process.id,
                    self.time.awake() - run.phase_since,
                    run.phase
                ));
            }
        }
        Ok(())
    }

    /// Checks that child runs follow their parents.
    fn check_family(&self, run: &super::contract::Run) -> Result<(), String> {
        for (step, _, wait) in run.waits() {
            let Wait::Run { run: child } = wait else { continue };
            let child = self.contract.runs.get(child).ok_or_else(|| format!("`{step}` waits for an unknown run"))?;
            if child.phase.has_ended() {
                return Err(format!("`{step}` waits for its child run, which is {:?}", child.phase));
            }
            let follows = match run.phase {
                Phase::Paused => matches!(child.phase, Phase::Paused | Phase::Canceling),
                Phase::Canceling => child.phase == Phase::Canceling,
                Phase::Active => child.phase != Phase::Interrupted,
                _ => true,
            };
            if !follows {
                return Err(format!("the run is {:?}, and the child run of `{step}` {:?}", run.phase, child.phase));
            }
            let by_parent = child.pause_cause == Some(PauseCause::Parent);
            if run.phase == Phase::Active && child.phase == Phase::Paused && by_parent {
                return Err(format!("the child run of `{step}` stays paused, although its parent goes on"));
            }
        }
        Ok(())
    }

    // --- Time

    /// Lets time pass until something happens, or until `until`.
    pub fn pass(&mut self, until: Option<Duration>) -> Passed {
        let next = self.agenda.first();
        let passed = match next {
            Some(at) if until.is_none_or(|until| at <= until) => self.happen(),
            _ => {
                // No person waits for months because a clock was set back.
                let is_far = until.is_none_or(|until| !self.faults && until > self.time.elapsed + PATIENCE);
                match until {
                    _ if is_far && self.settle() => Passed::Something,
                    Some(until) => {
                        self.time.advance_to(until);
                        Passed::Everything
                    }
                    None => panic!("nobody can help these runs to an end:{}", self.open_runs()),
                }
            }
        };
        let late = !self.faults && self.time.elapsed > HEALED_WITHIN;
        assert!(!late, "the runs do not end: {}", self.open_runs());
        passed
    }

    /// Records that the engine has woken up.
    pub fn woke(&mut self, engine_time: Timestamp) {
        self.looked = Some((engine_time, self.time.awake()));
    }

    pub fn open_runs(&self) -> String {
        let open = self.contract.open().map(|(id, run)| {
            let steps: Vec<String> = run.steps.iter().map(|(id, step)| format!("{id}: {:?}", step.state)).collect();
            format!("\n  {} ({}) is {:?}: {}", run.name, short(*id), run.phase, steps.join("; "))
        });
        open.collect()
    }

    fn happen(&mut self) -> Passed {
        let Some((at, happening)) = self.agenda.pop() else { return Passed::Everything };
        self.time.advance_to(at);
        match happening {
            Happening::Act(pid) => return self.act(pid),
            Happening::Beat(pid) => self.beat(pid),
            Happening::Ended(pid) => self.tell_end(pid),
            Happening::Notices(pid) => {
                if self.processes.get(&pid).is_some_and(|process| process.engine < self.engine || self.inbox.is_none())
                {
                    self.note(format_args!("process {pid} notices that its engine is gone"));
                    self.processes.remove(&pid);
                }
            }
            Happening::Message(message) => self.send(message),
            Happening::Wish => self.wish(),
            Happening::Wake => self.send(Message::Wake),
            Happening::Signal(signal) => {
                self.note(format_args!("signal {signal}"));
                self.stopping.get_or_insert(self.time.elapsed);
                self.send(Message::Signal(signal));
            }
            Happening::Crash if self.faults => return Passed::Crash,
            Happening::Crash => {}
            Happening::FullDisk if self.faults => {
                self.note("the disk is full");
                self.trouble_until = self.time.elapsed + TROUBLE;
                stepwell_store::full_disk::arm();
            }
            Happening::FullDisk => {}
            Happening::SetClock(by) => {
                self.note(format_args!("the wall clock is set by {by}"));
                self.time.set_wall(by);
            }
            Happening::StopEngine(span) => {
                self.note(format_args!("the engine is stopped for {span:?}"));
                let (before, until) = (self.time.mark(), self.time.elapsed + span);
                while self.agenda.first().is_some_and(|at| at <= until) {
                    if let Passed::Crash = self.happen() {
                        return Passed::Crash;
                    }
                }
                self.time.advance_to(until);
                self.time.excuse_since(before);
            }
            Happening::Sleep(span) => {
                self.note(format_args!("the computer sleeps for {span:?}"));
                self.agenda.delay_sleepers(span);
                for process in self.processes.values_mut() {
                    process.frozen_until += span;
                }
                self.time.sleep(span);
            }
            Happening::Heal => self.heal(),
        }
        Passed::Something
    }

    // --- Workers

    pub fn check_launch(&mut self, launch: &Launch) {
        self.sync();
        let id = launch.id();
        let checked = (|| {
            let step = self.contract.step(&id).ok_or("it is unknown")?;
            if step.fence != id.fence.0 || !matches!(step.state, State::Leased { .. }) {
                return Err(format!("its lease is not committed: {:?} under fence {}", step.state, step.fence));
            }
            if step.attempts != launch.request.attempt || step.key.as_ref() != Some(&launch.request.key) {
                return Err(format!("it is attempt {} with another key", step.attempts));
            }
            let newest = step.checkpoints.last().copied().or(step.adopted);
            let given = launch.request.checkpoints.first().and_then(|checkpoint| checkpoint.last_step);
            if newest != given {
                return Err(format!("it goes on from {given:?}, and the newest checkpoint is {newest:?}"));
            }
            let living = |(_, process): &(&u32, &Process)| {
                process.is_alive() && process.id.run == id.run && process.id.step == id.step
            };
            if let Some((pid, other)) = self.processes.iter().find(living) {
                return Err(format!("process {pid} of {} still works", other.id));
            }
            let working = |process: &&Process| process.is_alive() && process.engine == self.engine && !process.finished;
            let working = self.processes.values().filter(working).count();
            if working >= self.slots {
                return Err(format!("{working} attempts hold the {} slots", self.slots));
            }
            let mine = self.processes.values().filter(|process| process.is_alive()).map(|process| &process.resources);
            check_pools(mine.chain([&launch.resources]))
        })();
        keep(checked.map_err(|why| format!("attempt {id} is started, but {why}")));
    }

    pub fn spawn(&mut self, launch: Launch, worker: WorkerId, reusable: bool) -> (u32, Option<ProcessIdentity>) {
        self.next_pid += 1;
        let pid = self.next_pid;
        let poison = self.poison && launch.request.step.as_str() == "s0";
        let luck = Luck { faults: self.faults, poison };
        let mut process = Process::new(&mut self.rng, &launch, worker, self.engine, &luck);
        process.reusable = reusable;
        self.note(format_args!("process {pid} works on {}", attempt(&process.id)));
        let beat = process.heartbeat / 3;
        self.agenda.add(self.time.elapsed + beat, Happening::Beat(pid));
        self.beats.insert(process.id.clone(), (self.time.monotonic(), process.heartbeat));
        self.processes.insert(pid, process);
        self.next_act(pid);
        let identity = ProcessIdentity { pid, start_time: u64::from(pid), boot_id: "simulated".to_owned() };
        (pid, Some(identity))
    }

    fn next_act(&mut self, pid: u32) {
        let Some(process) = self.processes.get(&pid).filter(|process| process.runs()) else { return };
        let Some((pause, _)) = process.script.front() else { return };
        let at = self.time.elapsed.max(process.frozen_until) + *pause;
        self.agenda.add(at, Happening::Act(pid));
    }

    fn act(&mut self, pid: u32) -> Passed {
        let now = self.time.elapsed;
        let Some(process) = self.processes.get_mut(&pid).filter(|process| process.runs()) else {
            return Passed::Something;
        };
        if process.waits || process.finished {
            return Passed::Something;
        }
        if process.frozen_until > now {
            let until = process.frozen_until;
            self.agenda.add(until, Happening::Act(pid));
            return Passed::Something;
        }
        let Some((_, act)) = process.script.pop_front() else { return Passed::Something };
        let (id, worker) = (process.id.clone(), process.worker);
        match act {
            Act::Say(message) => self.tell(id, worker, Report::Message(*message)),
            Act::Checkpoint(step) => {
                process.waits = true;
                process.train_step = step;
                let message = FromAttempt::Checkpoint(Box::new(checkpoint(step)));
                self.note(format_args!("process {pid} has a checkpoint at {step}"));
                self.tell(id, worker, Report::Message(message));
                return Passed::Something;
            }
            Act::Freeze(span) => {
                process.frozen_until = now + span;
                self.note(format_args!("process {pid} is frozen for {span:?}"));
            }
            Act::Finish(message, reusable) => {
                process.finished = true;
                process.idle = reusable && !process.asked_to_stop;
                let idle = process.idle;
                self.note(format_args!("process {pid} says {}", describe_message(&message)));
                if matches!(&*message, FromAttempt::Failed(failure) if failure.kind == FailureKind::NoSpace) {
                    self.trouble_until = now + TROUBLE;
                }
                if let FromAttempt::Done(outputs) = &*message {
                    self.done.insert(id.clone(), outputs.clone());
                }
                // The last message may be lost with its worker.
                if !idle && self.is_unlucky(12) {
                    self.note("  and nobody hears it");
                } else if idle {
                    self.tell(id.clone(), worker, Report::Last((*message).clone()));
                } else {
                    self.tell(id.clone(), worker, Report::Message((*message).clone()));
                    if self.is_unlucky(10) {
                        self.tell_late(id.clone(), worker, Report::Message(*message));
                    }
                }
                if !idle {
                    // Some workers hang at their end and must be killed.
                    let most = if self.is_unlucky(10) { 20_000 } else { 100 };
                    let at = self.time.elapsed + self.millis(most);
                    if let Some(process) = self.processes.get_mut(&pid) {
                        process.script = [(Duration::ZERO, Act::Exit(Some(0), None))].into();
                        process.finished = true;
                    }
                    self.agenda.add(at, Happening::Ended(pid));
                }
                return Passed::Something;
            }
            Act::Exit(code, signal) => {
                process.exit = Some((code, signal));
                self.note(format_args!("process {pid} exits with {code:?}, {signal:?}"));
                self.soon(30, Happening::Ended(pid));
                return Passed::Something;
            }
            Act::Garble => self.tell(id, worker, Report::Garbled("the worker broke the protocol".to_owned())),
            Act::KillEngine => {
                self.note(format_args!("process {pid} takes its engine down"));
                return Passed::Crash;
            }
        }
        self.next_act(pid);
        Passed::Something
    }

    fn beat(&mut self, pid: u32) {
        let now = self.time.elapsed;
        let Some(process) = self.processes.get_mut(&pid).filter(|process| process.runs() && !process.finished) else {
            return;
        };
        let next = process.frozen_until.max(now + process.heartbeat / 3);
        let (id, worker, frozen) = (process.id.clone(), process.worker, process.frozen_until > now);
        if !frozen {
            let (at, heartbeat) = (self.time.monotonic(), process.heartbeat);
            self.beats.insert(id.clone(), (at, heartbeat));
        }
        self.agenda.add(next, Happening::Beat(pid));
        if !frozen {
            self.tell(id.clone(), worker, Report::Message(FromAttempt::Heartbeat));
            if self.is_unlucky(20) {
                self.tell_late(id, worker, Report::Message(FromAttempt::Heartbeat));
            }
        }
    }

    fn tell(&mut self, id: AttemptId, worker: WorkerId, report: Report) {
        self.send(Message::Attempt(id, worker, report));
    }

    /// Sends a message at an unexpected time.
    pub fn tell_late(&mut self, id: AttemptId, worker: WorkerId, report: Report) {
        self.soon(3000, Happening::Message(Message::Attempt(id, worker, report)));
    }

    /// Reports that the listener of a process has read its end.
    fn tell_end(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if std::mem::replace(&mut process.end_is_told, true) || process.engine != self.engine {
            return;
        }
        process.exit.get_or_insert((Some(0), None));
        let (id, worker) = (process.id.clone(), process.worker);
        self.note(format_args!("process {pid} has ended"));
        self.tell(id, worker, Report::Ended);
    }

    pub fn hear_engine(&mut self, pid: u32, message: &ToAttempt) {
        self.sync();
        let Some(process) = self.processes.get_mut(&pid).filter(|process| process.runs()) else { return };
        match message {
            ToAttempt::CheckpointCommitted => {
                let step = self.contract.step(&process.id);
                let committed = step.is_some_and(|step| step.checkpoints.contains(&process.train_step));
                assert!(committed, "{} is told that a checkpoint is committed, and it is not", process.id);
                if std::mem::take(&mut process.waits) {
                    self.next_act(pid);
                }
            }
            ToAttempt::Interrupt => {
                self.note(format_args!("process {pid} is interrupted"));
                self.ask_to_stop(pid);
            }
            ToAttempt::Start(_) => panic!("a fake worker is started twice"),
        }
    }

    pub fn terminate(&mut self, pid: u32) {
        self.note(format_args!("process {pid} is terminated"));
        self.ask_to_stop(pid);
    }

    fn ask_to_stop(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid).filter(|process| process.runs()) else { return };
        if process.deaf || process.finished || std::mem::replace(&mut process.asked_to_stop, true) {
            return;
        }
        process.stop_soon(&mut self.rng);
        self.next_act(pid);
    }

    pub fn kill(&mut self, pid: u32, signal: i32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.exit.get_or_insert((None, Some(signal)));
        self.note(format_args!("process {pid} is killed"));
        self.soon(30, Happening::Ended(pid));
    }

    /// Reaps a process. Returns true if the worker is idle and can serve another attempt.
    pub fn reap(&mut self, pid: u32, sweep: Sweep) -> (Exit, bool) {
        let Some(process) = self.processes.get_mut(&pid) else { return (Exit::default(), false) };
        if sweep == Sweep::Group && process.idle && process.is_alive() {
            self.processes.remove(&pid);
            return (Exit::default(), true);
        }
        let (code, signal) = *process.exit.get_or_insert((None, Some(9)));
        let survivors = if process.hangs > 0 {
            process.hangs -= 1;
            vec![pid]
        } else {
            self.processes.remove(&pid);
            Vec::new()
        };
        (Exit { code, signal, survivors, ..Exit::default() }, false)
    }

    /// Ends processes of earlier engines. Returns those that do not die.
    pub fn end_leftovers(&mut self, are: impl Fn(&Process) -> bool) -> Vec<u32> {
        let mut survivors = Vec::new();
        let faults = self.faults;
        self.processes.retain(|pid, process| {
            if !are(process) {
                return true;
            }
            if faults && process.hangs > 0 {
                process.hangs -= 1;
                survivors.push(*pid);
            }
            survivors.last() == Some(pid)
        });
        self.survivors |= !survivors.is_empty();
        survivors
    }

    /// Lets workers notice that their engine's socket is closed, unless they are stopped.
    pub fn engine_ended(&mut self) {
        self.inbox = None;
        self.crash_in = None;
        self.looked = None;
        stepwell_store::full_disk::disarm();
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            let now = self.time.elapsed;
            let unaware = self.is_unlucky(5);
            let Some(process) = self.processes.get_mut(&pid) else { continue };
            // A worker that has sent its last message may have no lease, so no engine looks for it.
            let unaware = unaware || process.frozen_until > now || process.hangs > 0;
            if process.is_alive() && !process.finished && unaware {
                process.finished = true;
                self.soon(60_000, Happening::Notices(pid));
            } else {
                self.processes.remove(&pid);
            }
        }
        self.agenda.retain(|happening| !matches!(happening, Happening::Message(_)));
    }
}

impl Witness for World {
    fn lives(&self, id: &AttemptId) -> bool {
        self.processes.values().any(|process| process.is_alive() && process.id == *id)
    }

    fn run_lives(&self, run: RunId) -> bool {
        // An attempt whose result is committed has five seconds to exit, also in a run that is canceled meanwhile.
        let works = |process: &Process| process.is_alive() && !process.finished && process.id.run == run;
        self.processes.values().any(works)
    }

    fn done(&self, id: &AttemptId) -> Option<&Outputs> {
        self.done.get(id)
    }

    fn was_silent(&self, id: &AttemptId) -> Result<(), String> {
        let Some((beat, heartbeat)) = self.beats.get(id) else { return Ok(()) };
        let silent = self.time.monotonic() - *beat;
        if silent < *heartbeat {
            return Err(format!("{id} is given up after {silent:?} of silence, and {heartbeat:?} are allowed"));
        }
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.time.elapsed
    }

    fn awake(&self) -> Duration {
        self.time.awake()
    }

    fn may_resume(&self, run: RunId) -> bool {
        self.resumable.contains(&run)
    }

    fn schedule_is_paused(&self) -> bool {
        self.schedule_paused_at.is_some_and(|at| self.time.elapsed > at + Duration::from_secs(4))
    }

    fn clock_has_jumped(&self) -> bool {
        self.time.has_jumped
    }

    fn jump_noticed_at(&self) -> Option<Duration> {
        self.time.jump_noticed_at
    }
}

pub(super) fn short(run: RunId) -> String {
    let text = run.to_string();
    text[text.len() - 5..].to_owned()
}

fn attempt(id: &AttemptId) -> String {
    format!("{}/{}/{}", short(id.run), id.step, id.fence.0)
}

fn describe(event: &Event, state_dir: &str) -> String {
    let mut text = format!("{event:?}").replace(state_dir, "state");
    if let Event::Run(RunEvent::Submitted { name, .. }) = event {
        text = format!("RunSubmitted {name}");
    }
    text.truncate(text.char_indices().nth(150).map_or(text.len(), |(at, _)| at));
    text
}

fn describe_message(message: &FromAttempt) -> &'static str {
    match message {
        FromAttempt::Done(_) => "done",
        FromAttempt::Failed(_) => "failed",
        FromAttempt::Interrupted => "interrupted",
        _ => "something",
    }
}

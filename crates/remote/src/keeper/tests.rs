//! The keeper with a scripted provider, a log in memory and a simulated clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::{Journal, JournalError, Keeper, Limits, Look, orphans};
use crate::clock::Clock;
use crate::consent::{Action, Proposal};
use crate::error::RemoteError;
use crate::event::Event;
use crate::machine::{GoneWhy, Machine, State};
use crate::money::{Cents, Price};
use crate::plan::Key;
use crate::plan::tests::plan;
use crate::provider::{Address, Instance, InstanceId, LaunchRequest, Phase, Provider, Status, Timed, Wanted};
use crate::provider_error::ProviderError;
use stepwell_base::duration::later;

/// Time passes only while somebody sleeps.
struct SimClock(Cell<Timestamp>);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.get()
    }

    fn sleep(&self, pause: Duration) {
        self.0.set(later(self.0.get(), pause));
    }
}

#[derive(Default)]
struct Log(Vec<Event>);

impl Journal for Log {
    fn append(&mut self, key: &Key, version: u64, _: &State, event: &Event, _: Timestamp) -> Result<(), JournalError> {
        if self.0.len() as u64 + 1 != version {
            return Err(JournalError::Stale(key.clone()));
        }
        self.0.push(event.clone());
        Ok(())
    }
}

/// How the scripted provider fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// The instance is created and the answer lost.
    Lost,
    /// Nothing is created.
    Refused,
    /// The first requests to terminate are ignored.
    Ignores(u32),
    /// A new instance is missing from every answer for so many seconds.
    Lags(u64),
    /// Every question fails.
    Down,
}

struct Script<'c> {
    clock: &'c SimClock,
    fault: Cell<Fault>,
    price: Cell<Price>,
    made: RefCell<Vec<(Instance, Timestamp)>>,
    ended: Cell<Option<Timestamp>>,
    calls: RefCell<VecDeque<&'static str>>,
}

impl<'c> Script<'c> {
    fn new(clock: &'c SimClock, fault: Fault) -> Self {
        Script {
            clock,
            fault: Cell::new(fault),
            price: Cell::new(plan().price),
            made: RefCell::default(),
            ended: Cell::new(None),
            calls: RefCell::default(),
        }
    }

    fn visible(&self) -> Vec<Instance> {
        let lag = if let Fault::Lags(seconds) = self.fault.get() { seconds } else { 0 };
        let now = self.clock.now();
        let is_visible = |at: Timestamp| now >= later(at, Duration::from_secs(lag));
        let made = self.made.borrow();
        let live = made.iter().filter(|(_, at)| self.ended.get().is_none() && is_visible(*at));
        live.map(|(instance, _)| instance.clone()).collect()
    }

    fn timed<T>(&self, value: T) -> Timed<T> {
        Timed { value, at: Some(self.clock.now()) }
    }

    fn down() -> ProviderError {
        ProviderError::Refused { status: 500, message: "down".to_owned() }
    }
}

impl Provider for Script<'_> {
    fn price(&self, _: Wanted<'_>) -> Result<Timed<Price>, ProviderError> {
        Ok(self.timed(self.price.get()))
    }

    fn launch(&self, request: LaunchRequest<'_>) -> Result<Timed<InstanceId>, ProviderError> {
        self.calls.borrow_mut().push_back("launch");
        let id = InstanceId::parse("i-1").unwrap();
        if self.fault.get() == Fault::Refused {
            return Err(ProviderError::Refused { status: 400, message: "quota exceeded".to_owned() });
        }
        let now = self.clock.now();
        let instance = Instance {
            id: id.clone(),
            name: request.name.to_string(),
            phase: Phase::Running,
            address: Address::ssh("10.0.0.1", 22, "root"),
            started_at: Some(now),
            price: None,
        };
        self.made.borrow_mut().push((instance, now));
        match self.fault.get() {
            Fault::Lost => Err(ProviderError::NoAnswer("closed".to_owned())),
            _ => Ok(self.timed(id)),
        }
    }

    fn list(&self) -> Result<Timed<Vec<Instance>>, ProviderError> {
        if self.fault.get() == Fault::Down { Err(Script::down()) } else { Ok(self.timed(self.visible())) }
    }

    fn status(&self, instance: &InstanceId) -> Status {
        if self.fault.get() == Fault::Down {
            return Status::Unknown(Script::down());
        }
        match self.visible().into_iter().find(|found| found.id == *instance) {
            Some(found) => Status::Exists(self.timed(found)),
            None => Status::Gone(self.timed(self.ended.get())),
        }
    }

    fn terminate(&self, _: &InstanceId) -> Result<(), ProviderError> {
        self.calls.borrow_mut().push_back("terminate");
        match self.fault.get() {
            Fault::Ignores(0) | Fault::None => self.ended.set(Some(self.clock.now())),
            Fault::Ignores(left) => self.fault.set(Fault::Ignores(left - 1)),
            _ => return Err(Script::down()),
        }
        Ok(())
    }

    fn launch_call(&self, _: LaunchRequest<'_>) -> String {
        String::new()
    }

    fn terminate_call(&self, _: &InstanceId) -> String {
        String::new()
    }
}

fn with<T>(fault: Fault, work: impl FnOnce(&mut Keeper<'_>, &Script<'_>, &mut Machine) -> T) -> T {
    let clock = SimClock(Cell::new(plan().created_at));
    let script = Script::new(&clock, fault);
    let mut log = Log::default();
    let mut machine = Machine::planned(&Event::Planned { plan: Box::new(plan()) }).unwrap();
    let limits = Limits {
        settle: Duration::from_secs(2),
        poll: Duration::from_millis(500),
        boot: Duration::from_secs(60),
        requests: 3,
    };
    let mut keeper = Keeper { provider: &script, journal: &mut log, clock: &clock, limits, tell: &mut |_: &str| {} };
    work(&mut keeper, &script, &mut machine)
}

fn consent(keeper: &mut Keeper<'_>, machine: &mut Machine) -> String {
    let proposal = Proposal {
        action: Action::Terminate,
        call: "x".to_owned(),
        cost: machine.cost(),
        files: String::new(),
        discarded: 0,
        expires_at: later(keeper.clock.now(), Duration::from_secs(900)),
    };
    let digest = proposal.digest(&machine.plan.key);
    keeper.record(machine, Event::Proposed { proposal }).unwrap();
    digest
}

#[test]
fn a_lost_answer_leads_to_one_instance_that_is_adopted() {
    for fault in [Fault::None, Fault::Lost, Fault::Lags(1)] {
        with(fault, |keeper, script, machine| {
            keeper.launch(machine).unwrap();
            assert_eq!(machine.state, State::Running, "{fault:?}");
            assert_eq!(script.calls.borrow().len(), 1);
            keeper.launch(machine).unwrap();
            assert_eq!(script.calls.borrow().len(), 1, "a second launch only looks");
        });
    }
}

#[test]
fn a_crash_between_intent_and_answer_adopts_whatever_the_list_lags() {
    with(Fault::Lags(1), |keeper, script, machine| {
        keeper.record(machine, Event::LaunchIntended { provider_at: None }).unwrap();
        let request = super::launch::request(machine);
        script.launch(request).unwrap();
        // The process died here; the next one has only the log.
        keeper.launch(machine).unwrap();
        assert_eq!((machine.state.clone(), script.calls.borrow().len()), (State::Running, 1));
    });
}

#[test]
fn a_refused_launch_is_not_repeated_and_costs_nothing() {
    with(Fault::Refused, |keeper, script, machine| {
        let error = keeper.launch(machine).unwrap_err();
        assert!(matches!(error, RemoteError::NotCreated { .. }), "{error}");
        assert_eq!(machine.state, State::Gone { why: GoneWhy::NotCreated });
        assert_eq!((machine.cost(), script.calls.borrow().len()), (Cents(0), 1));
    });
}

#[test]
fn a_provider_that_is_down_decides_nothing() {
    with(Fault::None, |keeper, script, machine| {
        keeper.launch(machine).unwrap();
        script.fault.set(Fault::Down);
        assert!(matches!(keeper.look(machine).unwrap(), Look::Unknown(_)));
        assert_eq!(machine.state.as_str(), "unreachable");
        let digest = consent(keeper, machine);
        let error = keeper.terminate(machine, &digest).unwrap_err();
        assert!(matches!(error, RemoteError::StillThere { times: 3, .. }), "{error}");
        assert!(machine.state.may_be_billed());
        script.fault.set(Fault::None);
        keeper.terminate(machine, "").unwrap();
        assert_eq!(machine.state, State::Gone { why: GoneWhy::Terminated });
    });
    with(Fault::Lost, |keeper, script, machine| {
        script.fault.set(Fault::Down);
        keeper.record(machine, Event::LaunchIntended { provider_at: None }).unwrap();
        let error = keeper.launch(machine).unwrap_err();
        assert!(matches!(error, RemoteError::Undecided { .. }), "{error}");
        assert_eq!(machine.state, State::Intent);
    });
}

#[test]
fn an_ignored_request_is_repeated_and_the_cost_is_that_of_the_time() {
    with(Fault::Ignores(2), |keeper, script, machine| {
        keeper.launch(machine).unwrap();
        keeper.clock.sleep(Duration::from_secs(3600));
        keeper.look(machine).unwrap();
        let digest = consent(keeper, machine);
        keeper.terminate(machine, &digest).unwrap();
        assert_eq!(script.calls.borrow().iter().filter(|call| **call == "terminate").count(), 3);
        let made = script.made.borrow()[0].1;
        let time = script.ended.get().unwrap().duration_since(made);
        assert_eq!(machine.cost(), plan().price.of(Duration::try_from(time).unwrap()));
    });
}

#[test]
fn nothing_ends_without_a_consent_that_is_young() {
    with(Fault::None, |keeper, script, machine| {
        keeper.launch(machine).unwrap();
        let digest = consent(keeper, machine);
        assert!(keeper.confirmed(machine, Action::Terminate, &digest).is_ok());
        assert!(keeper.confirmed(machine, Action::Sync, &digest).is_err());
        assert!(keeper.confirmed(machine, Action::Terminate, "0123").is_err());
        keeper.clock.sleep(Duration::from_secs(901));
        let error = keeper.confirmed(machine, Action::Terminate, &digest).unwrap_err();
        assert!(matches!(error, RemoteError::Expired { .. }));
        assert!(keeper.terminate(machine, "0123").is_err());
        assert_eq!(script.ended.get(), None);
    });
}

#[test]
fn a_plan_expires_and_a_higher_price_is_refused() {
    with(Fault::None, |keeper, script, machine| {
        script.price.set(Price(plan().price.0 + 1));
        assert!(matches!(keeper.launch(machine), Err(RemoteError::PriceChanged { .. })));
        script.price.set(Price(1));
        keeper.clock.sleep(Duration::from_secs(900));
        assert!(matches!(keeper.launch(machine), Err(RemoteError::Expired { .. })));
        assert_eq!((machine.state.clone(), script.calls.borrow().len()), (State::Planned, 0));
    });
}

#[test]
fn an_unchanged_machine_is_not_recorded_at_every_look() {
    with(Fault::None, |keeper, _, machine| {
        keeper.launch(machine).unwrap();
        let version = machine.version;
        for _ in 0..50 {
            keeper.clock.sleep(Duration::from_secs(1));
            keeper.look(machine).unwrap();
        }
        assert_eq!(machine.version, version);
        keeper.clock.sleep(Duration::from_secs(60));
        keeper.look(machine).unwrap();
        assert_eq!(machine.version, version + 1);
    });
}

#[test]
fn instances_that_no_record_owns_are_orphans() {
    with(Fault::None, |keeper, script, machine| {
        keeper.launch(machine).unwrap();
        let mut listed = script.visible();
        let mut other = listed[0].clone();
        other.id = InstanceId::parse("i-2").unwrap();
        let mut foreign = other.clone();
        foreign.name = "somebody-else".to_owned();
        listed.extend([other.clone(), foreign]);
        assert_eq!(
            orphans(&listed, std::slice::from_ref(machine)),
            [&other],
            "a second instance of the same name is one"
        );
        assert_eq!(orphans(&listed, &[]).len(), 2);
        machine.state = State::Gone { why: GoneWhy::NotCreated };
        assert_eq!(orphans(&listed, std::slice::from_ref(machine)).len(), 2, "it came late");
    });
}

//! The life of a rented machine: a sum of its events. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::consent::Proposal;
use crate::event::{Alert, Event};
use crate::money::{Cents, Price};
use crate::plan::Plan;
use crate::provider::{Address, InstanceId, Phase};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// A person may confirm it; nothing has been asked of the provider.
    Planned,
    /// The provider may have been called, so an instance may exist and be billed.
    Intent,
    /// The instance exists and does not run yet.
    Launching,
    Running,
    /// The last question to the provider had no answer. The instance is billed as before.
    Unreachable {
        why: String,
    },
    /// A person has confirmed the end. Billed until the provider has confirmed it twice.
    Terminating {
        requests: u32,
    },
    Gone {
        why: GoneWhy,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GoneWhy {
    /// A person wanted it.
    Terminated,
    /// The provider or somebody else ended it.
    Lost,
    /// The launch failed.
    NotCreated,
}

impl State {
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Intent => "intent",
            State::Launching => "launching",
            State::Running => "running",
            State::Unreachable { .. } => "unreachable",
            State::Terminating { .. } => "terminating",
            State::Gone { .. } => "gone",
        }
    }

    /// True if an instance may exist, hence cost money.
    pub fn may_be_billed(&self) -> bool {
        !matches!(self, State::Planned | State::Gone { .. })
    }
}

impl GoneWhy {
    pub fn as_str(self) -> &'static str {
        match self {
            GoneWhy::Terminated => "terminated",
            GoneWhy::Lost => "lost",
            GoneWhy::NotCreated => "not_created",
        }
    }
}

/// An event that cannot follow the state of a machine.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a machine that is {state} has no {event}")]
pub struct IllegalEvent {
    pub state: &'static str,
    pub event: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    pub plan: Plan,
    pub state: State,
    /// Number of its events: a writer that has seen fewer is refused.
    pub version: u64,
    pub instance: Option<InstanceId>,
    pub address: Option<Address>,
    /// What the provider charges; that of the plan until it says so.
    pub price: Price,
    /// Start of the bill, by the provider's clock; never later than the true one.
    pub billed_from: Option<Timestamp>,
    /// Newest time of the provider's clock.
    pub seen_at: Option<Timestamp>,
    /// End of the bill, by the provider's clock; never earlier than the true one.
    pub billed_until: Option<Timestamp>,
    /// The provider has said once that the instance is gone, and nothing else since.
    pub gone_once: bool,
    /// The launch call failed with this.
    pub launch_error: Option<String>,
    pub started: bool,
    /// Exit code of the command.
    pub exit: Option<i32>,
    pub proposal: Option<Proposal>,
    pub alerts: BTreeSet<Alert>,
    pub synced_files: u64,
}

impl Machine {
    /// The machine after its first event.
    ///
    /// # Errors
    /// When that is not [`Event::Planned`].
    pub fn planned(event: &Event) -> Result<Machine, IllegalEvent> {
        let Event::Planned { plan } = event else {
            return Err(IllegalEvent { state: "unknown", event: name(event) });
        };
        Ok(Machine {
            state: State::Planned,
            version: 1,
            instance: None,
            address: None,
            price: plan.price,
            billed_from: None,
            seen_at: None,
            billed_until: None,
            gone_once: false,
            launch_error: None,
            started: false,
            exit: None,
            proposal: None,
            alerts: BTreeSet::new(),
            synced_files: 0,
            plan: (**plan).clone(),
        })
    }

    /// The machine after all its events.
    ///
    /// # Errors
    /// When one cannot follow those before it.
    pub fn replay<'e>(events: impl IntoIterator<Item = &'e Event>) -> Result<Option<Machine>, IllegalEvent> {
        let mut events = events.into_iter();
        let Some(first) = events.next() else { return Ok(None) };
        let mut machine = Machine::planned(first)?;
        for event in events {
            machine.apply(event)?;
        }
        Ok(Some(machine))
    }

    /// Takes an event.
    ///
    /// # Errors
    /// When it cannot follow this state; the machine is as before.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        let illegal = IllegalEvent { state: self.state.as_str(), event: name(event) };
        let is_open = self.state.may_be_billed();
        match (event, &self.state) {
            (Event::LaunchIntended { provider_at }, State::Planned) => {
                self.state = State::Intent;
                self.billed_from = *provider_at;
                self.see(*provider_at);
            }
            (Event::LaunchAnswered { instance, provider_at }, State::Intent) => {
                self.state = State::Launching;
                self.instance = Some(instance.clone());
                self.see(*provider_at);
            }
            (Event::LaunchUnanswered { why }, State::Intent) => self.launch_error = Some(why.clone()),
            (Event::Adopted { instance }, State::Intent) => {
                self.state = State::Launching;
                self.instance = Some(instance.clone());
            }
            (Event::NotCreated, State::Intent) => {
                self.state = State::Gone { why: GoneWhy::NotCreated };
                self.billed_from = None;
            }
            (Event::Seen { phase, address, started_at, price, provider_at }, _)
                if is_open && self.instance.is_some() =>
            {
                match (phase, &self.state) {
                    (_, State::Terminating { .. }) => {}
                    (Phase::Starting, _) => self.state = State::Launching,
                    (Phase::Running | Phase::Stopping, _) => self.state = State::Running,
                }
                if address.is_some() {
                    self.address.clone_from(address);
                }
                self.price = price.unwrap_or(self.price);
                self.billed_from = started_at.or(self.billed_from).or(*provider_at);
                self.gone_once = false;
                self.billed_until = None;
                self.see(*provider_at);
            }
            (Event::Unreachable { why }, _) if is_open => {
                if !matches!(self.state, State::Terminating { .. } | State::Intent) {
                    self.state = State::Unreachable { why: why.clone() };
                }
            }
            (Event::GoneSeen { ended_at, provider_at }, _) if is_open && self.instance.is_some() => {
                self.gone_once = true;
                self.see(*provider_at);
                self.billed_until = ended_at.or(*provider_at).or(self.seen_at);
            }
            (Event::GoneConfirmed, state) if is_open && self.gone_once => {
                let why = match state {
                    State::Terminating { .. } => GoneWhy::Terminated,
                    _ => GoneWhy::Lost,
                };
                self.state = State::Gone { why };
                self.alerts.clear();
                self.proposal = None;
            }
            (Event::TerminateIntended { digest }, state) if is_open && self.instance.is_some() => {
                let consent = self.proposal.as_ref().map(|proposal| proposal.digest(&self.plan.key));
                let is_terminating = matches!(state, State::Terminating { .. });
                if is_terminating || consent.as_ref() != Some(digest) {
                    return Err(illegal);
                }
                self.state = State::Terminating { requests: 0 };
            }
            (Event::TerminateAnswered { .. }, State::Terminating { requests }) => {
                self.state = State::Terminating { requests: requests.saturating_add(1) };
            }
            (Event::Started, _) if is_open => self.started = true,
            (Event::Exited { code }, _) if is_open => self.exit = Some(*code),
            (Event::Proposed { proposal }, _) if is_open => self.proposal = Some(proposal.clone()),
            (Event::Alerted { alert }, _) if is_open => {
                self.alerts.insert(*alert);
            }
            (Event::AlertEnded { alert }, _) if is_open => {
                self.alerts.remove(alert);
            }
            (Event::Synced { files, .. }, _) if is_open => self.synced_files += files,
            _ => return Err(illegal),
        }
        self.version += 1;
        Ok(())
    }

    fn see(&mut self, at: Option<Timestamp>) {
        self.seen_at = self.seen_at.max(at);
    }

    /// The cost up to the newest answer of the provider, by its clock.
    pub fn cost(&self) -> Cents {
        let until = self.billed_until.or(self.seen_at);
        let billed = self.billed_from.zip(until).map(|(from, until)| until.duration_since(from));
        let time = billed.and_then(|time| Duration::try_from(time).ok()).unwrap_or_default();
        self.price.of(time)
    }
}

/// The name of an event in messages.
fn name(event: &Event) -> &'static str {
    match event {
        Event::Planned { .. } => "planned",
        Event::LaunchIntended { .. } => "launch_intended",
        Event::LaunchAnswered { .. } => "launch_answered",
        Event::LaunchUnanswered { .. } => "launch_unanswered",
        Event::Adopted { .. } => "adopted",
        Event::NotCreated => "not_created",
        Event::Seen { .. } => "seen",
        Event::Unreachable { .. } => "unreachable",
        Event::Started => "started",
        Event::Exited { .. } => "exited",
        Event::Proposed { .. } => "proposed",
        Event::TerminateIntended { .. } => "terminate_intended",
        Event::TerminateAnswered { .. } => "terminate_answered",
        Event::GoneSeen { .. } => "gone_seen",
        Event::GoneConfirmed => "gone_confirmed",
        Event::Alerted { .. } => "alerted",
        Event::AlertEnded { .. } => "alert_ended",
        Event::Synced { .. } => "synced",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Action;
    use crate::plan::tests::plan;

    fn at(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_second(1_800_000_000 + seconds).ok()
    }

    fn instance() -> InstanceId {
        InstanceId::parse("i-1").unwrap()
    }

    fn seen(phase: Phase, started: Option<i64>, seconds: i64) -> Event {
        let started_at = started.and_then(at);
        Event::Seen { phase, address: None, started_at, price: None, provider_at: at(seconds) }
    }

    fn machine(events: &[Event]) -> Machine {
        let first = Event::Planned { plan: Box::new(plan()) };
        Machine::replay(std::iter::once(&first).chain(events)).unwrap().unwrap()
    }

    fn running() -> Machine {
        machine(&[
            Event::LaunchIntended { provider_at: at(0) },
            Event::LaunchAnswered { instance: instance(), provider_at: at(1) },
            seen(Phase::Running, Some(2), 10),
        ])
    }

    fn proposal(machine: &Machine) -> (Proposal, String) {
        let proposal = Proposal {
            action: Action::Terminate,
            call: "terminate".to_owned(),
            cost: machine.cost(),
            files: String::new(),
            discarded: 0,
            expires_at: plan().expires_at,
        };
        let digest = proposal.digest(&machine.plan.key);
        (proposal, digest)
    }

    #[test]
    fn a_launch_happens_once() {
        let mut machine = machine(&[Event::LaunchIntended { provider_at: None }]);
        for again in [Event::LaunchIntended { provider_at: None }, Event::Planned { plan: Box::new(plan()) }] {
            assert!(machine.apply(&again).is_err());
        }
        assert!(machine.state.may_be_billed());
    }

    #[test]
    fn an_error_is_not_the_end() {
        let mut machine = running();
        machine.apply(&Event::Unreachable { why: "500".to_owned() }).unwrap();
        assert_eq!(machine.state.as_str(), "unreachable");
        assert!(machine.state.may_be_billed());
        assert!(machine.apply(&Event::GoneConfirmed).is_err(), "nobody has said that it is gone");
        machine.apply(&Event::GoneSeen { ended_at: None, provider_at: at(20) }).unwrap();
        machine.apply(&seen(Phase::Running, Some(2), 30)).unwrap();
        assert!(machine.apply(&Event::GoneConfirmed).is_err(), "it was there again in between");
        assert_eq!((machine.state.clone(), machine.billed_until), (State::Running, None));
    }

    #[test]
    fn the_end_takes_two_answers_and_a_consent() {
        let mut machine = running();
        let (proposal, digest) = proposal(&machine);
        assert!(machine.apply(&Event::TerminateIntended { digest: digest.clone() }).is_err(), "nothing was proposed");
        machine.apply(&Event::Proposed { proposal }).unwrap();
        assert!(machine.apply(&Event::TerminateIntended { digest: "other".to_owned() }).is_err());
        machine.apply(&Event::TerminateIntended { digest }).unwrap();
        machine.apply(&Event::TerminateAnswered { error: None }).unwrap();
        assert_eq!(machine.state, State::Terminating { requests: 1 });
        machine.apply(&Event::Unreachable { why: "500".to_owned() }).unwrap();
        assert_eq!(machine.state, State::Terminating { requests: 1 });
        machine.apply(&Event::GoneSeen { ended_at: at(3602), provider_at: at(4000) }).unwrap();
        assert!(machine.state.may_be_billed());
        machine.apply(&Event::GoneConfirmed).unwrap();
        assert_eq!(machine.state, State::Gone { why: GoneWhy::Terminated });
        assert_eq!(machine.cost(), Cents(50), "one hour, whatever the clock says now");
        assert!(machine.apply(&seen(Phase::Running, None, 5000)).is_err());
    }

    #[test]
    fn what_the_provider_ends_is_lost_and_what_never_was_costs_nothing() {
        let mut lost = running();
        lost.apply(&Event::GoneSeen { ended_at: None, provider_at: at(7202) }).unwrap();
        lost.apply(&Event::GoneConfirmed).unwrap();
        assert_eq!((lost.state.clone(), lost.cost()), (State::Gone { why: GoneWhy::Lost }, Cents(100)));
        let mut never = machine(&[
            Event::LaunchIntended { provider_at: at(0) },
            Event::LaunchUnanswered { why: "quota".to_owned() },
        ]);
        never.apply(&Event::NotCreated).unwrap();
        assert_eq!(never.cost(), Cents(0));
    }

    #[test]
    fn a_cost_follows_the_provider_s_clock() {
        let mut machine = running();
        assert_eq!(machine.cost(), Cents(0));
        machine.apply(&seen(Phase::Running, Some(2), 3602)).unwrap();
        assert_eq!(machine.cost(), Cents(50));
        // An answer that was under way for long does not reduce it.
        machine.apply(&seen(Phase::Running, Some(2), 100)).unwrap();
        assert_eq!(machine.cost(), Cents(50));
    }

    #[test]
    fn without_a_start_the_bill_starts_before_the_call() {
        let machine = machine(&[
            Event::LaunchIntended { provider_at: at(0) },
            Event::Adopted { instance: instance() },
            seen(Phase::Running, None, 3600),
        ]);
        assert_eq!(machine.cost(), Cents(50));
    }

    #[test]
    fn events_are_stored_as_json() {
        let machine = running();
        let (proposal, digest) = proposal(&machine);
        let events = [
            Event::Planned { plan: Box::new(plan()) },
            seen(Phase::Stopping, Some(1), 2),
            Event::Proposed { proposal },
            Event::TerminateIntended { digest },
            Event::GoneConfirmed,
            Event::Alerted { alert: Alert::Cap },
        ];
        for event in events {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }
}

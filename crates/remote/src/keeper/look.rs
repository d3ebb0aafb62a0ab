//! Asks the provider about machines. Nothing here changes anything at the provider.

use jiff::{SignedDuration, Timestamp};

use super::Keeper;
use crate::error::RemoteError;
use crate::event::Event;
use crate::machine::{Machine, State};
use crate::plan::PREFIX;
use crate::provider::{Instance, InstanceId, Phase, Status, Timed};
use crate::provider_error::ProviderError;
use stepwell_base::error_chain::error_chain;
use stepwell_base::faults::around;

/// An unchanged machine is recorded again after this time, so that its log does not grow with every question.
const QUIET: SignedDuration = SignedDuration::from_secs(60);

/// What a question came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Look {
    Exists(Phase),
    /// Confirmed twice.
    Gone,
    Unknown(String),
}

impl Keeper<'_> {
    /// Asks about a machine that may exist, and records the answer.
    ///
    /// # Errors
    /// `NotCreated`, `Undecided` for a machine whose launch was interrupted, and those of [`Keeper::record`].
    pub fn look(&mut self, machine: &mut Machine) -> Result<Look, RemoteError> {
        self.find(machine)?;
        let Some(instance) = machine.instance.clone().filter(|_| machine.state.may_be_billed()) else {
            return Ok(Look::Gone);
        };
        match self.ask(&instance) {
            Status::Exists(answer) => self.exists(machine, answer.value, answer.at),
            Status::Gone(answer) => self.confirm_gone(machine, &instance, &answer),
            Status::Unknown(error) => self.unknown(machine, &error),
        }
    }

    fn ask(&self, instance: &InstanceId) -> Status {
        match around!("remote.status", Ok::<Status, ProviderError>(self.provider.status(instance))) {
            Ok(status) => status,
            Err(error) => Status::Unknown(error),
        }
    }

    fn unknown(&mut self, machine: &mut Machine, error: &ProviderError) -> Result<Look, RemoteError> {
        let why = error_chain(error);
        if matches!(machine.state, State::Launching | State::Running) {
            self.record(machine, Event::Unreachable { why: why.clone() })?;
        }
        Ok(Look::Unknown(why))
    }

    fn exists(&mut self, machine: &mut Machine, found: Instance, at: Option<Timestamp>) -> Result<Look, RemoteError> {
        let phase = found.phase;
        self.record_seen(machine, found, at)?;
        Ok(Look::Exists(phase))
    }

    /// Records that an instance exists, unless the log says so already.
    pub(super) fn record_seen(
        &mut self,
        machine: &mut Machine,
        found: Instance,
        at: Option<Timestamp>,
    ) -> Result<(), RemoteError> {
        let Instance { phase, address, started_at, price, .. } = found;
        // A provider without a clock has that of this machine.
        let provider_at = at.or_else(|| Some(self.clock.now()));
        let event = Event::Seen { phase, address, started_at, price, provider_at };
        let mut next = machine.clone();
        if next.apply(&event).is_ok() {
            let is_recent = next.seen_at.zip(machine.seen_at).is_some_and(|(new, old)| new.duration_since(old) < QUIET);
            let (version, seen_at) = (machine.version, machine.seen_at);
            let newest = next.seen_at;
            (next.version, next.seen_at) = (version, seen_at);
            if is_recent && next == *machine {
                machine.seen_at = newest;
                return Ok(());
            }
        }
        self.record(machine, event)
    }

    /// Asks a second time, and for the list: a new instance may be missing from an answer, and an old one must not be
    /// forgotten because of one wrong answer.
    fn confirm_gone(
        &mut self,
        machine: &mut Machine,
        instance: &InstanceId,
        answer: &Timed<Option<Timestamp>>,
    ) -> Result<Look, RemoteError> {
        if !machine.gone_once {
            let provider_at = answer.at.or_else(|| Some(self.clock.now()));
            self.record(machine, Event::GoneSeen { ended_at: answer.value, provider_at })?;
        }
        self.clock.sleep(self.limits.settle);
        match self.ask(instance) {
            Status::Gone(_) => {}
            Status::Exists(answer) => return self.exists(machine, answer.value, answer.at),
            Status::Unknown(error) => return self.unknown(machine, &error),
        }
        match around!("remote.confirm", self.provider.list()) {
            Ok(list) => match list.value.into_iter().find(|listed| listed.id == *instance) {
                Some(found) => self.exists(machine, found, list.at),
                None => {
                    self.record(machine, Event::GoneConfirmed)?;
                    Ok(Look::Gone)
                }
            },
            Err(error) => self.unknown(machine, &error),
        }
    }
}

/// The listed instances with our tag that no record owns: nobody looks after them, and they are billed.
pub fn orphans<'l>(listed: &'l [Instance], records: &[Machine]) -> Vec<&'l Instance> {
    let is_owned = |instance: &Instance| {
        records.iter().any(|machine| {
            let is_named = machine.plan.key.as_str() == instance.name;
            let is_known = machine.instance.as_ref().is_none_or(|id| *id == instance.id);
            is_named && is_known && machine.state.may_be_billed()
        })
    };
    listed.iter().filter(|instance| instance.name.starts_with(PREFIX) && !is_owned(instance)).collect()
}

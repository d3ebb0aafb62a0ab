//! Launches a machine once, and finds it again after a crash.

use super::{Keeper, Look};
use crate::error::RemoteError;
use crate::event::Event;
use crate::machine::{Machine, State};
use crate::provider::{LaunchRequest, Wanted};
use stepwell_base::duration::later;
use stepwell_base::error_chain::error_chain;
use stepwell_base::faults::around;

/// Lists without the instance, before it counts as not created.
const LOOKS: u32 = 2;
/// Questions in a row without an answer, before a person has to try again later.
const SILENCES: u32 = 10;

/// The provider's view of a planned machine.
pub(crate) fn request(machine: &Machine) -> LaunchRequest<'_> {
    let plan = &machine.plan;
    LaunchRequest {
        name: &plan.key,
        wanted: Wanted { host_type: &plan.host_type, region: plan.region.as_deref() },
        image: plan.image.as_deref(),
        price: plan.price,
    }
}

impl Keeper<'_> {
    /// Launches a planned machine that a person has confirmed, and waits until it runs. A machine whose launch was
    /// interrupted is found and adopted: the provider is asked to create it once, ever.
    ///
    /// # Errors
    /// `Expired`, `PriceChanged`, `NotCreated`, `Undecided`, `NotRunning`, and errors of the provider before the launch.
    pub fn launch(&mut self, machine: &mut Machine) -> Result<(), RemoteError> {
        if machine.state == State::Planned {
            self.call(machine)?;
        }
        self.find(machine)?;
        self.wait_until_running(machine)
    }

    fn call(&mut self, machine: &mut Machine) -> Result<(), RemoteError> {
        let plan = &machine.plan;
        if self.clock.now() >= plan.expires_at {
            return Err(RemoteError::Expired { digest: plan.digest(), at: plan.expires_at });
        }
        let price = around!("remote.price", self.provider.price(request(machine).wanted))?;
        if price.value > plan.price {
            return Err(RemoteError::PriceChanged { planned: plan.price, now: price.value });
        }
        self.record(machine, Event::LaunchIntended { provider_at: price.at })?;
        let event = match around!("remote.launch", self.provider.launch(request(machine))) {
            Ok(answer) => Event::LaunchAnswered { instance: answer.value, provider_at: answer.at },
            Err(error) => Event::LaunchUnanswered { why: error_chain(&error) },
        };
        if let Event::LaunchUnanswered { why } = &event {
            (self.tell)(&format!("the launch was not answered ({why}): looking for the instance by its name"));
        }
        self.record(machine, event)
    }

    /// Finds out whether the launch has created an instance, and adopts it.
    pub(super) fn find(&mut self, machine: &mut Machine) -> Result<(), RemoteError> {
        if machine.state != State::Intent {
            return Ok(());
        }
        let key = machine.plan.key.clone();
        let (mut until, mut looks, mut silences) = (None, 0, 0);
        loop {
            match around!("remote.list", self.provider.list()) {
                Ok(list) => {
                    silences = 0;
                    looks += 1;
                    let mut ours = list.value.into_iter().filter(|instance| instance.name == key.as_str());
                    if let Some(found) = ours.next() {
                        if let Some(other) = ours.next() {
                            (self.tell)(&format!("`{}` has the same name: `stepwell remote audit` lists it", other.id));
                        }
                        self.record(machine, Event::Adopted { instance: found.id.clone() })?;
                        return self.record_seen(machine, found, list.at);
                    }
                    let until = *until.get_or_insert(later(self.clock.now(), self.limits.settle));
                    if looks >= LOOKS && self.clock.now() >= until {
                        self.record(machine, Event::NotCreated)?;
                        let why = machine.launch_error.clone().unwrap_or_else(|| "nothing".to_owned());
                        return Err(RemoteError::NotCreated { key, why });
                    }
                }
                Err(error) => {
                    silences += 1;
                    if silences >= SILENCES {
                        return Err(RemoteError::Undecided { key, why: error_chain(&error) });
                    }
                }
            }
            self.clock.sleep(self.limits.poll);
        }
    }

    fn wait_until_running(&mut self, machine: &mut Machine) -> Result<(), RemoteError> {
        let until = later(self.clock.now(), self.limits.boot);
        loop {
            let is_late = self.clock.now() >= until;
            match self.look(machine)? {
                Look::Exists(_) if machine.state == State::Running && machine.address.is_some() => return Ok(()),
                Look::Gone => {
                    let why = "the instance has ended".to_owned();
                    return Err(RemoteError::NotCreated { key: machine.plan.key.clone(), why });
                }
                Look::Exists(_) | Look::Unknown(_) if is_late => {
                    return Err(RemoteError::NotRunning {
                        key: machine.plan.key.clone(),
                        seconds: self.limits.boot.as_secs(),
                    });
                }
                Look::Exists(_) | Look::Unknown(_) => self.clock.sleep(self.limits.poll),
            }
        }
    }
}

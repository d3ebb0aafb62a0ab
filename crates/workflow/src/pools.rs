//! Resource pools: the units to share, the demands of steps, and the order in which free units are given out.
//!
//! Nothing is ever returned to a pool. Each round of claims computes the units in use from the leases, so
//! units cannot leak.

use std::collections::BTreeMap;

use stepwell_base::amount;
use stepwell_base::failure::Failure;
use stepwell_base::suggest;

/// Units that a step asks for, by pool name.
pub type Demand = BTreeMap<String, u64>;
/// Units that a lease holds: the names of devices, or one amount as text.
pub type Held = BTreeMap<String, Vec<String>>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pool {
    /// Given out whole, by name.
    Devices(Vec<String>),
    Amount(u64),
}

impl Pool {
    fn size(&self) -> u64 {
        match self {
            Pool::Devices(names) => names.len() as u64,
            Pool::Amount(amount) => *amount,
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Pool::Devices(names) => names.join(" "),
            Pool::Amount(amount) => amount::show(*amount),
        }
    }
}

/// Most devices in the example of a hint.
const MOST_EXAMPLES: u64 = 8;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pools(pub BTreeMap<String, Pool>);

impl Pools {
    /// # Errors
    /// A fatal failure when the demand could not be met even if nothing else ran.
    pub fn check(&self, demand: &Demand) -> Result<(), Failure> {
        for (name, &units) in demand {
            let asked = amount::show(units);
            let Some(pool) = self.0.get(name) else {
                let failure = Failure::fatal(format!("the step asks for {asked} of `{name}`, which is not configured"));
                // Devices in place of a number let the program see only its own.
                let devices = || (0..units).map(|index| format!("\"{name}:{index}\"")).collect::<Vec<_>>().join(", ");
                let example = if is_of_gpus(name) && units <= MOST_EXAMPLES {
                    format!("[{}]", devices())
                } else if units > 1 << 20 {
                    format!("{asked:?}")
                } else {
                    asked
                };
                let known = suggest::meant(name, self.0.keys().map(String::as_str));
                let hint = format!("{known}write `[pools]` and below it `{name} = {example}` in stepwell.toml");
                return Err(failure.with_hint(hint));
            };
            if pool.size() < units {
                let size = amount::show(pool.size());
                let message = format!("the step asks for {asked} of `{name}`, but the pool has only {size}");
                let hint = format!("lower `resources.{name}` of the step, or raise `pools.{name}` in stepwell.toml");
                return Err(Failure::fatal(message).with_hint(hint));
            }
        }
        Ok(())
    }

    /// The demanded pools of GPUs with devices that no program can be told of, each with such a device: their names have
    /// no number for `CUDA_VISIBLE_DEVICES`.
    pub fn unnumbered<'a>(&'a self, demand: &'a Demand) -> impl Iterator<Item = (&'a str, &'a str)> {
        demand.keys().filter_map(|name| {
            let Some(Pool::Devices(devices)) = self.0.get(name) else { return None };
            let sounds_so = |device: &String| is_of_gpus(name) || is_of_gpus(device);
            let unnumbered = devices.iter().find(|device| sounds_so(device) && cuda_device(name, device).is_none())?;
            Some((name.as_str(), unnumbered.as_str()))
        })
    }

    pub fn free<'a>(&self, in_use: impl Iterator<Item = &'a Held>) -> Free {
        let mut pools = self.0.clone();
        for (name, units) in in_use.flatten() {
            match pools.get_mut(name) {
                Some(Pool::Devices(devices)) => devices.retain(|device| !units.contains(device)),
                Some(Pool::Amount(amount)) => {
                    let used = units.iter().filter_map(|unit| unit.parse::<u64>().ok()).sum();
                    *amount = amount.saturating_sub(used);
                }
                // The pool is no longer configured.
                None => {}
            }
        }
        Free { pools, reserved: Demand::new() }
    }
}

/// Units that one round of claims can give out, in the order of the claims.
#[derive(Clone, Debug)]
pub struct Free {
    pools: BTreeMap<String, Pool>,
    /// Units for earlier steps that do not fit yet.
    reserved: Demand,
}

impl Free {
    /// Takes the units. If some are missing, reserves the whole demand instead: later steps get only what is
    /// left over, so that they cannot starve this one.
    pub fn take(&mut self, demand: &Demand) -> Option<Held> {
        if self.missing(demand).is_some() {
            for (name, units) in demand {
                let reserved = self.reserved.entry(name.clone()).or_default();
                *reserved = reserved.saturating_add(*units);
            }
            return None;
        }
        Some(demand.iter().map(|(name, &units)| (name.clone(), self.hand_out(name, units))).collect())
    }

    /// Returns the first pool that has too little left, and how much it has.
    pub fn missing<'a>(&self, demand: &'a Demand) -> Option<(&'a str, u64)> {
        let left = |name: &str| {
            let free = self.pools.get(name).map_or(0, Pool::size);
            free.saturating_sub(self.reserved.get(name).copied().unwrap_or(0))
        };
        demand
            .iter()
            .map(|(name, &units)| (name.as_str(), units, left(name)))
            .find_map(|(name, units, left)| (left < units).then_some((name, left)))
    }

    /// Units of a pool that are left.
    pub fn of(&self, name: &str) -> u64 {
        self.pools.get(name).map_or(0, Pool::size)
    }

    fn hand_out(&mut self, name: &str, units: u64) -> Vec<String> {
        match self.pools.get_mut(name) {
            Some(Pool::Devices(devices)) => {
                devices.drain(..usize::try_from(units).unwrap_or(usize::MAX).min(devices.len())).collect()
            }
            Some(Pool::Amount(amount)) => {
                *amount = amount.saturating_sub(units);
                vec![units.to_string()]
            }
            None => Vec::new(),
        }
    }
}

/// The device in the form of `CUDA_VISIBLE_DEVICES`: the number behind `gpu` or `cuda`, a number alone in a pool of GPUs, or
/// an id that NVIDIA's tools print, such as `GPU-8932f937-...`.
fn cuda_device<'a>(pool: &str, unit: &'a str) -> Option<&'a str> {
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = ["gpu", "cuda"].iter().find_map(|prefix| unit.strip_prefix(prefix));
    let behind = numbered.map(|rest| rest.strip_prefix([':', '-', '_']).unwrap_or(rest));
    let whole = Some(unit).filter(|unit| is_number(unit) && is_of_gpus(pool));
    let id = Some(unit).filter(|unit| unit.starts_with("GPU-") || unit.starts_with("MIG-"));
    behind.filter(is_number).or(whole).or(id)
}

fn is_of_gpus(pool: &str) -> bool {
    let pool = pool.to_lowercase();
    pool.contains("gpu") || pool.contains("cuda")
}

/// Returns the environment variables that tell an attempt which units it holds.
pub fn environment(held: &Held) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = held
        .iter()
        .map(|(name, units)| {
            let name: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            (format!("STEPWELL_RESOURCE_{name}"), units.join(","))
        })
        .collect();
    let gpus: Vec<&str> =
        held.iter().flat_map(|(pool, units)| units.iter().filter_map(|unit| cuda_device(pool, unit))).collect();
    if !gpus.is_empty() {
        variables.push(("CUDA_VISIBLE_DEVICES".to_owned(), gpus.join(",")));
    }
    variables
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pools() -> Pools {
        let devices = Pool::Devices(vec!["gpu:0".into(), "gpu:1".into()]);
        Pools(BTreeMap::from([("gpu".into(), devices), ("memory".into(), Pool::Amount(64))]))
    }

    fn demand(gpu: u64, memory: u64) -> Demand {
        let all = [("gpu".to_owned(), gpu), ("memory".to_owned(), memory)];
        all.into_iter().filter(|(_, units)| *units > 0).collect()
    }

    #[test]
    fn impossible_demands_say_what_to_write() {
        let failure = pools().check(&demand(3, 0)).unwrap_err();
        assert!(failure.message.contains("asks for 3 of `gpu`, but the pool has only 2"), "{failure:?}");
        let failure = Pools::default().check(&demand(0, 8 << 30)).unwrap_err();
        assert!(failure.hint.unwrap().contains("memory = \"8GiB\""));
        pools().check(&demand(2, 64)).unwrap();
    }

    #[test]
    fn devices_are_given_out_by_name_and_show_up_in_the_environment() {
        let mut free = pools().free(std::iter::empty());
        let first = free.take(&demand(1, 8)).unwrap();
        let second = free.take(&demand(1, 0)).unwrap();
        assert_eq!((&first["gpu"], &second["gpu"]), (&vec!["gpu:0".to_owned()], &vec!["gpu:1".to_owned()]));
        assert_eq!(free.take(&demand(1, 0)), None);
        let variables = BTreeMap::from_iter(environment(&second));
        assert_eq!(
            (variables["STEPWELL_RESOURCE_GPU"].as_str(), variables["CUDA_VISIBLE_DEVICES"].as_str()),
            ("gpu:1", "1")
        );
        assert_eq!(BTreeMap::from_iter(environment(&first))["STEPWELL_RESOURCE_MEMORY"], "8");
        assert_eq!(environment(&Held::new()), []);
    }

    #[test]
    fn devices_are_numbered_by_their_names() {
        for (pool, device, number) in [
            ("gpu", "gpu:1", Some("1")),
            ("fast", "cuda:0", Some("0")),
            ("fast", "gpu0", Some("0")),
            ("gpus", "3", Some("3")),
            ("gpu", "GPU-8932f937-d72c", Some("GPU-8932f937-d72c")),
            ("licence", "3", None),
            ("gpu", "left", None),
            ("gpu", "gpu:a", None),
        ] {
            assert_eq!(cuda_device(pool, device), number, "{pool}: {device}");
        }
        let devices = |names: &[&str]| Pool::Devices(names.iter().map(|name| (*name).to_owned()).collect());
        let pools = [
            ("gpu", devices(&["gpu:0", "left"])),
            ("seat", devices(&["alice"])),
            ("card", devices(&["gpu-left"])),
            ("fine", devices(&["cuda:0"])),
        ];
        let pools = Pools(pools.map(|(name, pool)| (name.to_owned(), pool)).into());
        let all: Demand = pools.0.keys().map(|name| (name.clone(), 1)).collect();
        assert_eq!(Vec::from_iter(pools.unnumbered(&all)), [("card", "gpu-left"), ("gpu", "left")]);
        assert_eq!(pools.unnumbered(&demand(0, 1)).next(), None);
    }

    #[test]
    fn a_large_request_at_the_head_is_not_overtaken() {
        let running = pools().free(std::iter::empty()).take(&demand(1, 8)).unwrap();
        let mut free = pools().free([&running].into_iter());
        assert_eq!(free.take(&demand(2, 8)), None, "one of two is in use");
        assert_eq!(free.take(&demand(1, 0)), None, "the free one is reserved");
        assert_eq!(free.missing(&demand(0, 56)), Some(("memory", 48)));
        assert!(free.take(&demand(0, 48)).is_some(), "what is left over beside the reserved units");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Ask(u64, u64),
        End(usize),
    }

    proptest! {
        /// In any order of starts and ends, no unit is held twice, none is lost, and the head of the queue
        /// gets its turn once the leases before it have ended.
        #[test]
        fn units_are_neither_shared_nor_lost(
            acts in prop::collection::vec(
                prop_oneof![(0u64..3, 0u64..65).prop_map(|(g, m)| Act::Ask(g, m)), (0usize..8).prop_map(Act::End)], 1..80),
        ) {
            let pools = pools();
            let mut queue: Vec<Demand> = Vec::new();
            let mut leases: Vec<Held> = Vec::new();
            let claim = |queue: &mut Vec<Demand>, leases: &mut Vec<Held>| {
                let mut free = pools.free(leases.clone().iter());
                let asked: u64 = queue.iter().filter_map(|demand| demand.get("gpu")).sum();
                queue.retain(|demand| match free.take(demand) {
                    Some(held) => {
                        leases.push(held);
                        false
                    }
                    None => true,
                });
                asked
            };
            for act in acts {
                match act {
                    Act::Ask(gpu, memory) => queue.push(demand(gpu, memory)),
                    Act::End(i) if i < leases.len() => drop(leases.remove(i)),
                    Act::End(_) => {}
                }
                claim(&mut queue, &mut leases);
                let mut devices: Vec<&String> = leases.iter().filter_map(|held| held.get("gpu")).flatten().collect();
                devices.sort();
                prop_assert!(devices.windows(2).all(|pair| pair[0] != pair[1]), "{devices:?} twice");
                let memory: u64 = leases.iter().filter_map(|h| h.get("memory")).flatten().map(|m| m.parse::<u64>().unwrap()).sum();
                prop_assert!(memory <= 64);
            }
            // However many steps wait, each time the oldest lease ends, the head of the queue is served first.
            while let Some(head) = queue.first().cloned() {
                let waiting = queue.len();
                prop_assert!(!leases.is_empty(), "{head:?} waits while nothing is in use");
                leases.clear();
                claim(&mut queue, &mut leases);
                prop_assert!(queue.len() < waiting, "{head:?} fits into an empty machine");
            }
        }
    }
}

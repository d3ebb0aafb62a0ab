//! What belongs to no single run: artifacts' origins, pools and schedules.

use serde_json::{Value, json};

use super::workflows::{assignments, source};
use crate::drive::load_workflow::check;
use crate::drive::new_schedule::{ScheduleTimes, add_schedule as add};
use crate::error::CliError;
use crate::session::Session;
use crate::verbs::look::artifact::find_output;
use crate::verbs::start::schedule::list_json;
use stepwell_base::artifact::Digest;
use stepwell_http::NewSchedule;
use stepwell_store::Unreadable;
use stepwell_workflow::pools::Held;

pub(super) fn provenance(session: &Session, digest: &Digest) -> Result<Value, CliError> {
    let reader = session.reader()?;
    let output = find_output(&reader, digest.as_str())?;
    let manifest = stepwell_engine::provenance(&reader, &session.artifacts()?, &output)?;
    serde_json::to_value(manifest).map_err(|error| CliError::internal("write the provenance", error))
}

/// Slots, pools and rate limits of this process, with the steps that hold units of pools in any process.
pub(super) fn pools(session: &Session) -> Result<Value, CliError> {
    let reader = session.reader()?;
    let limits = session.settings.limits();
    let holders = reader.held_units()?;
    let free = limits.pools.free(holders.iter().map(|(_, _, held)| held));
    let pools = limits.pools.0.iter().map(|(name, pool)| {
        let holds = |held: &Held| held.get(name).cloned();
        let holders = holders
            .iter()
            .filter_map(|(run, step, held)| Some(json!({ "run": run, "step": step, "units": holds(held)? })));
        json!({ "name": name, "units": pool.describe(), "free": free.of(name), "holders": holders.collect::<Vec<_>>() })
    });
    let rates = limits.rate_limits.iter().map(|(name, limit)| json!({ "name": name, "limit": limit.to_string() }));
    let running = reader.all_running_steps()?.into_iter().map(|(run, step)| json!({ "run": run, "step": step }));
    Ok(json!({
        "slots": session.settings.slots.value,
        "running": running.collect::<Vec<_>>(),
        "pools": pools.collect::<Vec<_>>(),
        "rate_limits": rates.collect::<Vec<_>>(),
    }))
}

pub(super) fn schedules(session: &Session) -> Result<Value, CliError> {
    let (rows, unreadable) = session.reader()?.schedules()?;
    let mut value = list_json(&rows);
    let unreadable = unreadable.into_iter().map(|Unreadable { name, why, .. }| json!({ "name": name, "why": why }));
    value["unreadable"] = unreadable.collect();
    Ok(value)
}

pub(super) fn add_schedule(session: &Session, new: NewSchedule) -> Result<(), CliError> {
    let loaded = check(session, source(new.workflow)?, &assignments(&new.params)?)?;
    let times = ScheduleTimes {
        name: new.name,
        cron: new.cron,
        time_zone: new.time_zone,
        catch_up: new.catch_up,
        priority: new.priority,
    };
    add(session, loaded, times)?;
    Ok(())
}

//! Explains why a ready step does not start although an engine runs: pools and rate limits.

use jiff::Timestamp;

use crate::error::CliError;
use stepwell_base::amount;
use stepwell_store::Reader;
use stepwell_workflow::limits::Limits;
use stepwell_workflow::rate_limit::Window;
use stepwell_workflow::spec::StepSpec;

/// The pool or rate limit that blocks a step; `None` if neither does.
pub fn waits_for(limits: &Limits, reader: &Reader, spec: &StepSpec) -> Result<Option<String>, CliError> {
    Ok(match units(limits, reader, spec)? {
        Some(reason) => Some(reason),
        None => rate(limits, reader, spec)?,
    })
}

/// A pool that has too few free units for a step, with its number of free units.
pub fn missing<'a>(limits: &Limits, reader: &Reader, spec: &'a StepSpec) -> Result<Option<(&'a str, u64)>, CliError> {
    let holders = reader.held_units()?;
    Ok(limits.pools.free(holders.iter().map(|(_, _, held)| held)).missing(&spec.resources))
}

/// Text such as `waits for 1 of gpu (0 free): held by run nightly, step train`.
fn units(limits: &Limits, reader: &Reader, spec: &StepSpec) -> Result<Option<String>, CliError> {
    if spec.resources.is_empty() {
        return Ok(None);
    }
    if let Err(failure) = limits.pools.check(&spec.resources) {
        return Ok(Some(failure.to_string()));
    }
    let holders = reader.held_units()?;
    let free = limits.pools.free(holders.iter().map(|(_, _, held)| held));
    let Some((pool, left)) = free.missing(&spec.resources) else { return Ok(None) };
    let asked = spec.resources.get(pool).copied().map(amount::show).unwrap_or_default();
    let holders: Vec<String> = holders
        .iter()
        .filter(|(_, _, held)| held.contains_key(pool))
        .map(|(run, step, _)| format!("run {run}, step {step}"))
        .collect();
    Ok(Some(format!("waits for {asked} of {pool} ({} free): held by {}", amount::show(left), holders.join("; "))))
}

/// Text such as `waits for the rate limit api (10 per 60 s) until 2026-11-21T03:00:00Z`.
fn rate(limits: &Limits, reader: &Reader, spec: &StepSpec) -> Result<Option<String>, CliError> {
    let Some((name, &limit)) = spec.rate_limit.as_ref().and_then(|name| limits.rate_limits.get_key_value(name)) else {
        return Ok(None);
    };
    let now = Timestamp::now();
    let mut window = Window::default();
    for (of, start) in reader.limited_starts(now.checked_sub(limit.per).unwrap_or(Timestamp::MIN))? {
        if of == *name {
            window.add(start);
        }
    }
    let at = window.next_allowed(limit, now);
    Ok((at > now).then(|| format!("waits for the rate limit {name} ({limit}) until {at}")))
}

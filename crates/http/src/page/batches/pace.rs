//! How fast a batch is, and whether it will be done in time.

use jiff::Timestamp;
use serde_json::Value;

use super::super::parts::duration;
use crate::openai::Situation;
use crate::problem::Problem;
use stepwell_store::{Reader, StepRow};

/// The step of a run that answers rows, with what it gave.
pub fn step(reader: &Reader, situation: &Situation) -> Result<Option<StepRow>, Problem> {
    // The run that closed a batch early has counted its rows.
    let run = situation.closing.as_ref().or(situation.run.as_ref());
    Ok(match run {
        Some(run) => reader.steps(run.id)?.pop(),
        None => None,
    })
}

/// Tokens per second: now, or over the whole work if it has ended.
///
/// # Errors
/// When the database cannot be read.
pub fn speed(reader: &Reader, situation: &Situation, step: Option<&StepRow>) -> Result<Option<f64>, Problem> {
    let (Some(step), Some(run)) = (step, situation.run.as_ref()) else { return Ok(None) };
    if let Some(outputs) = &step.outputs {
        return Ok(outputs.values.get("tokens_per_second").and_then(Value::as_f64).filter(|speed| *speed > 0.0));
    }
    let newest = reader.newest_measurement(run.id, &step.id)?;
    Ok(newest.and_then(|newest| newest.values.get("tokens_per_second").copied()))
}

/// Failed rows by category, most first; known once the files are written.
pub fn failures(step: Option<&StepRow>) -> Vec<(String, u64)> {
    let values = step.and_then(|step| step.outputs.as_ref()).map(|outputs| &outputs.values);
    let found = values.and_then(|values| values.get("failures")).and_then(Value::as_object);
    let mut found: Vec<(String, u64)> = found
        .into_iter()
        .flatten()
        .filter_map(|(code, count)| Some((super::first::short(code), count.as_u64()?)))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found
}

/// State of the deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promise {
    /// For the style sheet: nothing, or `bad`.
    pub class: &'static str,
    pub text: String,
}

/// The deadline, with the estimated time left if there is an estimate.
pub fn promise(expires_at: Timestamp, ended_at: Option<Timestamp>, left: Option<f64>, now: Timestamp) -> Promise {
    let until = |at: Timestamp| expires_at.duration_since(at).as_secs_f64();
    if let Some(at) = ended_at {
        return match until(at) {
            spare if spare >= 0.0 => Promise { class: "", text: format!("ended {} before it", duration(spare)) },
            late => Promise { class: "bad", text: format!("ended {} after it", duration(-late)) },
        };
    }
    match (until(now), left) {
        (rest, _) if rest < 0.0 => Promise { class: "bad", text: "is over: rows without an answer expire".to_owned() },
        (rest, Some(left)) if left > rest => {
            Promise { class: "bad", text: format!("in danger: about {} too late", duration(left - rest)) }
        }
        (rest, Some(left)) => Promise { class: "", text: format!("in time: about {} to spare", duration(rest - left)) },
        (rest, None) => Promise { class: "", text: format!("in {}", duration(rest)) },
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn the_deadline_holds_or_is_in_danger() {
        let now: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
        let day = now + SignedDuration::from_hours(24);
        let hours = |hours: i64| now + SignedDuration::from_hours(hours);
        let told = |ended, left, now| promise(day, ended, left, now).text;
        assert_eq!(told(None, None, now), "in 1d 0h");
        assert_eq!(told(None, Some(9.0 * 3600.0), now), "in time: about 15h 0m to spare");
        let late = promise(day, None, Some(99.0 * 3600.0), now);
        assert_eq!((late.class, &*late.text), ("bad", "in danger: about 3d 3h too late"));
        assert_eq!(told(None, None, hours(25)), "is over: rows without an answer expire");
        assert_eq!(told(Some(hours(1)), None, hours(30)), "ended 23h 0m before it");
        assert_eq!(told(Some(hours(26)), None, hours(30)), "ended 2h 0m after it");
    }
}

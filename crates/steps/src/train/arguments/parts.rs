//! Splits phases whose context changes into parts with one context each.

use super::phase::PhaseArguments;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::training::phase::{Part, Phase};
use stepwell_train::training::ramp::{self, RampError};

/// Context from a step of a phase on.
type Contexts = Vec<(u64, usize)>;

/// Splits the phases, which come from `arguments` in this order (or are one without any). `of_run` is the ramp of the
/// run, over all of its steps; phases with a context or a ramp of their own do not follow it.
///
/// # Errors
/// For ramps without a meaning.
pub fn split(phases: Vec<Phase>, arguments: &[PhaseArguments], of_run: &[(f64, usize)]) -> Result<Vec<Phase>, Failure> {
    let total = phases.iter().fold(0u64, |steps, phase| steps.saturating_add(phase.steps));
    if !of_run.is_empty() {
        ramp::validate("context_ramp", of_run, total).map_err(|error| refuse(&error))?;
    }
    let run = ramp::steps(of_run, total);
    let mut split = Vec::with_capacity(phases.len());
    let mut first = 0u64;
    for (number, phase) in phases.into_iter().enumerate() {
        let own = arguments.get(number);
        let of_phase = own.map_or(&[][..], |own| own.context_ramp.as_slice());
        let follows = own.is_none_or(|own| own.context.is_none() && own.context_ramp.is_empty());
        let contexts = if !of_phase.is_empty() {
            ramp::validate("context_ramp", of_phase, phase.steps)
                .map_err(|error| Failure { message: format!("phase `{}`: {error}", phase.name), ..refuse(&error) })?;
            ramp::steps(of_phase, phase.steps)
        } else if follows {
            within(&run, first, phase.steps)
        } else {
            Contexts::new()
        };
        first = first.saturating_add(phase.steps);
        split.extend(parts(phase, &contexts));
    }
    Ok(split)
}

/// The contexts of `steps` steps from `first` on, counted from there.
fn within(run: &[(u64, usize)], first: u64, steps: u64) -> Contexts {
    let at_start = run.iter().rev().find(|(from, _)| *from <= first).map(|(_, context)| (0, *context));
    let later = run.iter().filter(|(from, _)| (first + 1..first.saturating_add(steps)).contains(from));
    at_start.into_iter().chain(later.map(|(from, context)| (from - first, *context))).collect()
}

fn parts(phase: Phase, contexts: &[(u64, usize)]) -> Vec<Phase> {
    match contexts {
        [] => vec![phase],
        [(_, context)] => vec![Phase { context: *context, ..phase }],
        contexts => {
            let of = phase.steps;
            let ends = contexts.iter().skip(1).map(|(from, _)| *from).chain([of]);
            let part = |((first, context), end): (&(u64, usize), u64)| Phase {
                steps: end - first,
                context: *context,
                part: Some(Part { first: *first, of }),
                ..phase.clone()
            };
            contexts.iter().zip(ends).map(part).collect()
        }
    }
}

fn refuse(error: &RampError) -> Failure {
    Failure::from_error(FailureKind::Fatal, error)
        .with_hint("such as `[[0, 128], [0.3, 256], [0.7, 512]]`: shares of the steps, then the context from there on")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(phases: &[Phase]) -> Vec<(&str, u64, usize, Option<Part>)> {
        phases.iter().map(|phase| (phase.name.as_str(), phase.steps, phase.context, phase.part)).collect()
    }

    fn part(first: u64, of: u64) -> Option<Part> {
        Some(Part { first, of })
    }

    #[test]
    fn a_ramp_of_the_run_cuts_phases_where_the_context_changes() {
        let phases = vec![Phase::new("a", 40, 512), Phase::new("b", 60, 512)];
        let ramp = [(0.0, 128), (0.3, 256), (0.7, 512)];
        let split = split(phases, &[], &ramp).unwrap();
        assert_eq!(
            shape(&split),
            [
                ("a", 30, 128, part(0, 40)),
                ("a", 10, 256, part(30, 40)),
                ("b", 30, 256, part(0, 60)),
                ("b", 30, 512, part(30, 60))
            ]
        );
    }

    #[test]
    fn a_phase_with_its_own_context_or_ramp_does_not_follow_the_run() {
        let arguments: Vec<PhaseArguments> = [
            json!({ "name": "a", "steps": 10, "context": 32 }),
            json!({ "name": "b", "steps": 10, "context_ramp": [[0, 8], [0.5, 16]] }),
            json!({ "name": "c", "steps": 10 }),
        ]
        .map(|phase| serde_json::from_value(phase).unwrap())
        .to_vec();
        let phases: Vec<Phase> = arguments.iter().map(|phase| phase.resolve(64, Some(4)).unwrap()).collect();
        let found = split(phases.clone(), &arguments, &[(0.0, 64), (0.1, 48)]).unwrap();
        assert_eq!(
            shape(&found),
            [("a", 10, 32, None), ("b", 5, 8, part(0, 10)), ("b", 5, 16, part(5, 10)), ("c", 10, 48, None)]
        );
        assert_eq!(shape(&split(phases.clone(), &[], &[]).unwrap()).len(), 3);
        let failure = split(phases, &arguments, &[(0.0, 64), (0.99, 48)]).unwrap_err();
        assert!(failure.message.starts_with("point 2 of `context_ramp` would hold for no step"), "{failure}");
    }
}

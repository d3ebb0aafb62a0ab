//! The sources that phases are trained on: how they are named, mixed and counted.

use serde_json::{Value, json};

use super::sources::Sources;
use crate::train::arguments::{Arguments, Curriculum, PhaseArguments, SourceArguments};
use stepwell_base::failure::Failure;
use stepwell_train::data::{Mixture, Sampler, Taken};
use stepwell_train::training::plan::Plan;

impl Arguments {
    /// Checks that every phase has one kind of sources, and that their weights mix.
    ///
    /// # Errors
    /// When both or none of `tokens` and `data` are given, or weights are impossible.
    pub fn check_sources(&self) -> Result<(), Failure> {
        let both = |place: &str| {
            Err(Failure::fatal(format!("{place} has both `tokens` and `data`"))
                .with_hint("`tokens` is one source, `data` a mixture of several: leave one out"))
        };
        if !self.tokens.is_empty() && !self.data.is_empty() {
            return both("`train`");
        }
        for phase in &self.phases {
            if phase.tokens.is_some() && phase.data.is_some() {
                return both(&format!("phase `{}`", phase.name));
            }
        }
        for number in 0..self.phases.len().max(1) {
            let place = self.phases.get(number).map_or("the run".to_owned(), |phase| format!("phase `{}`", phase.name));
            match self.own_sources(number) {
                Sources::One([]) => {
                    return Err(Failure::fatal(format!("there is no text to train on: {place} has no token files"))
                        .with_hint("set `tokens` to the outputs of `tokenize`, or `data` to a mixture"));
                }
                Sources::One(_) => {}
                Sources::Mixed(sources) => check_mixture(&place, &sources)?,
            }
        }
        let has_own = |phase: &PhaseArguments| {
            phase.tokens.is_some() || phase.data.is_some() || self.phase_tokens.contains_key(&phase.name)
        };
        if self.curriculum == Curriculum::Shuffled && !self.phases.iter().any(has_own) {
            return Err(Failure::fatal(
                "`curriculum = \"shuffled\"` mixes the texts of all phases, and no phase has its own",
            )
            .with_hint("give the `phases` their `tokens` or `data`, or leave `curriculum` out"));
        }
        Ok(())
    }
}

fn check_mixture(place: &str, sources: &[SourceArguments]) -> Result<(), Failure> {
    let weights: Vec<f64> = sources.iter().map(|source| source.weight).collect();
    Mixture::new(&weights).map_err(|error| {
        let failure = Failure::fatal(format!("{place}: {error}"));
        failure.with_hint(error.hint().unwrap_or_default())
    })?;
    for (number, source) in sources.iter().enumerate() {
        let name = name(source, number);
        if source.tokens.is_empty() && source.weight > 0.0 {
            return Err(Failure::fatal(format!("{place}: source `{name}` has no token files"))
                .with_hint("set its `tokens` to the outputs of `tokenize`, or its `weight` to 0"));
        }
        if source.max_epochs.is_some_and(|most| !(most > 0.0 && most.is_finite())) {
            return Err(Failure::fatal(format!("{place}: `max_epochs` of source `{name}` is not a number above 0"))
                .with_hint("leave it out for no limit"));
        }
    }
    Ok(())
}

pub(super) fn name(source: &SourceArguments, number: usize) -> String {
    source.name.clone().unwrap_or_else(|| (number + 1).to_string())
}

/// Samples that each phase takes from each source of its mixture.
#[derive(Clone, Debug, Default)]
pub struct Mixed {
    rows: Vec<Row>,
}

/// One source of one phase.
#[derive(Clone, Debug)]
struct Row {
    phase: String,
    source: String,
    taken: Taken,
    tokens: u64,
}

/// Counts what the phases will take. The parts of a phase count as one.
///
/// # Errors
/// When a source would be seen more often than its `max_epochs`.
pub fn mixture(arguments: &Arguments, plan: &Plan, samplers: &[Sampler]) -> Result<Mixed, Failure> {
    let mut mixed = Mixed::default();
    for (number, (phase, sampler)) in plan.phases.iter().zip(samplers).enumerate() {
        let Sources::Mixed(sources) = arguments.sources(plan, phase) else { continue };
        let taken = sampler.taken(plan.samples_of(number));
        let named = sources.iter().enumerate().filter(|(_, source)| source.weight > 0.0);
        for ((number, source), taken) in named.zip(taken) {
            let tokens = taken.samples * phase.context as u64;
            let row = Row { phase: phase.name.clone(), source: name(source, number), taken, tokens };
            let total = mixed.add(row, phase.in_whole(0).0 > 0);
            if let Some(most) = source.max_epochs.filter(|most| total.taken.epochs > *most) {
                let message = format!(
                    "phase `{}` would see source `{}` {:.2} times, its `max_epochs` is {most}",
                    total.phase, total.source, total.taken.epochs
                );
                return Err(Failure::fatal(message)
                    .with_hint("lower its `weight` or the `steps` of the phase, or import more of it"));
            }
        }
    }
    Ok(mixed)
}

/// The sources that have samples at all: one of weight 0 may have no files.
pub fn used(sources: &[SourceArguments]) -> impl Iterator<Item = &SourceArguments> {
    sources.iter().filter(|source| source.weight > 0.0)
}

impl Mixed {
    /// Adds a row, to that of the part before if it is one of a part. Returns the sum.
    fn add(&mut self, row: Row, is_later_part: bool) -> &Row {
        let same = |kept: &Row| is_later_part && kept.phase == row.phase && kept.source == row.source;
        let place = match self.rows.iter().position(same) {
            Some(place) => {
                let kept = &mut self.rows[place];
                kept.tokens += row.tokens;
                kept.taken.samples += row.taken.samples;
                kept.taken.epochs += row.taken.epochs;
                place
            }
            None => {
                self.rows.push(row);
                self.rows.len() - 1
            }
        };
        &self.rows[place]
    }

    /// One line per phase.
    pub fn lines(&self) -> Vec<String> {
        let source = |Row { source, taken, .. }: &Row| {
            format!("{source} {:.1} % ({} samples, {:.2} epochs)", taken.share * 100.0, taken.samples, taken.epochs)
        };
        let phases = self.rows.chunk_by(|one, other| one.phase == other.phase);
        let line = |rows: &[Row]| {
            let sources: Vec<String> = rows.iter().map(source).collect();
            format!("phase `{}` mixes {}", rows[0].phase, sources.join(", "))
        };
        phases.map(line).collect()
    }

    /// The counts as a value of the step; null without a mixture.
    pub fn value(&self) -> Value {
        if self.rows.is_empty() {
            return Value::Null;
        }
        let row = |Row { phase, source, taken, tokens }: &Row| {
            let epochs = (taken.epochs * 1e6).round() / 1e6;
            json!({
                "source": format!("{phase}: {source}"),
                "share": taken.share,
                "samples": taken.samples,
                "tokens": tokens,
                "epochs": epochs,
            })
        };
        self.rows.iter().map(row).collect()
    }
}

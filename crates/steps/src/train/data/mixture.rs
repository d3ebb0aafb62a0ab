//! The sources that phases are trained on: how they are named, mixed and counted.

use serde_json::{Value, json};

use crate::train::arguments::{Arguments, SourceArguments};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_train::data::{Mixture, Sampler, Taken};
use stepwell_train::training::plan::Plan;

/// Token files of one phase.
#[derive(Clone, Copy, Debug)]
pub enum Sources<'a> {
    One(&'a [ArtifactRef]),
    Mixed(&'a [SourceArguments]),
}

impl Arguments {
    /// The sources of the phase with this number: its own, or the run's.
    pub fn sources(&self, phase: usize) -> Sources<'_> {
        let own = self.phases.get(phase);
        let tokens = own.and_then(|phase| phase.tokens.as_deref());
        let data = own.and_then(|phase| phase.data.as_deref());
        match (tokens, data) {
            (Some(tokens), _) => Sources::One(tokens),
            (None, Some(data)) => Sources::Mixed(data),
            (None, None) if self.data.is_empty() => Sources::One(&self.tokens),
            (None, None) => Sources::Mixed(&self.data),
        }
    }

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
            match self.sources(number) {
                Sources::One([]) => {
                    return Err(Failure::fatal(format!("there is no text to train on: {place} has no token files"))
                        .with_hint("set `tokens` to the outputs of `tokenize`, or `data` to a mixture"));
                }
                Sources::One(_) => {}
                Sources::Mixed(sources) => check_mixture(&place, sources)?,
            }
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

fn name(source: &SourceArguments, number: usize) -> String {
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

/// Counts what the phases will take.
///
/// # Errors
/// When a source would be seen more often than its `max_epochs`.
pub fn mixture(arguments: &Arguments, plan: &Plan, samplers: &[Sampler]) -> Result<Mixed, Failure> {
    let mut mixed = Mixed::default();
    for (number, (phase, sampler)) in plan.phases.iter().zip(samplers).enumerate() {
        let Sources::Mixed(sources) = arguments.sources(number) else { continue };
        let taken = sampler.taken(phase.steps * plan.samples_per_step());
        let named = sources.iter().enumerate().filter(|(_, source)| source.weight > 0.0);
        for ((number, source), taken) in named.zip(taken) {
            let name = name(source, number);
            if let Some(most) = source.max_epochs.filter(|most| taken.epochs > *most) {
                let message = format!(
                    "phase `{}` would see source `{name}` {:.2} times, its `max_epochs` is {most}",
                    phase.name, taken.epochs
                );
                return Err(Failure::fatal(message)
                    .with_hint("lower its `weight` or the `steps` of the phase, or import more of it"));
            }
            let tokens = taken.samples * phase.context as u64;
            mixed.rows.push(Row { phase: phase.name.clone(), source: name, taken, tokens });
        }
    }
    Ok(mixed)
}

/// The sources that have samples at all: one of weight 0 may have no files.
pub fn used(sources: &[SourceArguments]) -> impl Iterator<Item = &SourceArguments> {
    sources.iter().filter(|source| source.weight > 0.0)
}

impl Mixed {
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

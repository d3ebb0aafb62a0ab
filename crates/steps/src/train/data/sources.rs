//! The sources of a phase: its own, those of the run, or those of all phases.

use std::borrow::Cow;

use super::mixture::name;
use crate::train::arguments::{Arguments, Curriculum, SourceArguments};
use stepwell_base::artifact::ArtifactRef;
use stepwell_train::training::phase::Phase;
use stepwell_train::training::plan::Plan;

/// Token files of one phase.
#[derive(Clone, Debug)]
pub enum Sources<'a> {
    One(&'a [ArtifactRef]),
    Mixed(Cow<'a, [SourceArguments]>),
}

impl Arguments {
    /// The sources that a phase of the plan is trained on.
    pub fn sources(&self, plan: &Plan, phase: &Phase) -> Sources<'_> {
        match self.curriculum {
            Curriculum::Staged => self.own_sources(self.number_of(phase)),
            Curriculum::Shuffled => Sources::Mixed(self.of_all_phases(plan).into()),
        }
    }

    /// The sources of the phase with this number in the arguments: its own, or the run's.
    pub fn own_sources(&self, phase: usize) -> Sources<'_> {
        let own = self.phases.get(phase);
        let tokens = own.and_then(|phase| phase.tokens.as_deref());
        let data = own.and_then(|phase| phase.data.as_deref());
        let named = own.and_then(|phase| self.phase_tokens.get(&phase.name));
        match (tokens.or(named.filter(|_| data.is_none()).map(Vec::as_slice)), data) {
            (Some(tokens), _) => Sources::One(tokens),
            (None, Some(data)) => Sources::Mixed(data.into()),
            (None, None) if self.data.is_empty() => Sources::One(&self.tokens),
            (None, None) => Sources::Mixed(self.data.as_slice().into()),
        }
    }

    /// Number of a phase of the plan in the arguments: its parts have its name.
    fn number_of(&self, phase: &Phase) -> usize {
        self.phases.iter().position(|own| own.name == phase.name).unwrap_or_default()
    }

    /// The sources of all phases, each with the tokens that the phases take of it as its weight. A limit of epochs holds
    /// for a phase, so it is dropped.
    fn of_all_phases(&self, plan: &Plan) -> Vec<SourceArguments> {
        let mut all: Vec<SourceArguments> = Vec::new();
        let mut add = |name: String, tokens: &[ArtifactRef], weight: f64| match all
            .iter_mut()
            .find(|known| known.tokens == tokens)
        {
            Some(known) => known.weight += weight,
            None => all.push(SourceArguments { name: Some(name), tokens: tokens.to_vec(), weight, max_epochs: None }),
        };
        for (number, phase) in plan.phases.iter().enumerate() {
            let tokens = (plan.samples_of(number) * phase.context as u64) as f64;
            match self.own_sources(self.number_of(phase)) {
                Sources::One(files) => add(phase.name.clone(), files, tokens),
                Sources::Mixed(sources) => {
                    let sum: f64 = sources.iter().map(|source| source.weight).sum();
                    for (number, source) in sources.iter().enumerate().filter(|(_, source)| source.weight > 0.0) {
                        add(name(source, number), &source.tokens, tokens * source.weight / sum);
                    }
                }
            }
        }
        all
    }
}

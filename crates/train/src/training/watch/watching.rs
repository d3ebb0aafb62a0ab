//! Settings of all looks at a training, and what one look finds.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::standing::{StopWhen, Validated};
use super::validation::Validation;
use crate::model::Transformer;
use stepwell_base::protocol::SampleText;

/// Writes texts with a model. Must be a pure function of the weights.
pub type Writer = Arc<dyn Fn(&Transformer) -> Result<Vec<SampleText>, String> + Send + Sync>;

/// Texts that a training writes.
#[derive(Clone)]
pub struct Writing {
    /// Training steps between two texts of a prompt.
    pub every: NonZeroU64,
    pub writer: Writer,
}

/// What a training measures of itself; by default nothing.
#[derive(Clone, Default)]
pub struct Watch {
    pub validation: Option<Arc<Validation>>,
    pub stop_when: Option<StopWhen>,
    pub writing: Option<Writing>,
    /// Training steps between two measurements of layers.
    pub layers_every: Option<NonZeroU64>,
    /// Weights that are looked at, and that a complete training returns.
    pub weights: WatchedWeights,
}

/// The weights that a training shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WatchedWeights {
    /// Those that it trains.
    #[default]
    Trained,
    /// Their average, if it keeps one.
    Average,
}

/// What is due after a step.
pub struct Look {
    validation: Option<Arc<Validation>>,
    writer: Option<Writer>,
}

impl Watch {
    /// What has to be measured with the weights after `step` of `steps` steps, if anything: at every so many steps, and
    /// at the end.
    pub fn due(&self, step: u64, steps: u64) -> Option<Look> {
        let is_due = |every: NonZeroU64| step.is_multiple_of(every.get()) || step == steps;
        let validation = self.validation.as_ref().filter(|validation| is_due(validation.every));
        let writing = self.writing.as_ref().filter(|writing| is_due(writing.every));
        let look = Look { validation: validation.cloned(), writer: writing.map(|writing| Arc::clone(&writing.writer)) };
        (step > 0 && (look.validation.is_some() || look.writer.is_some())).then_some(look)
    }

    /// True if weights are looked at, now and then.
    pub fn looks(&self) -> bool {
        self.validation.is_some() || self.writing.is_some()
    }

    /// True if the layers are measured in this step.
    pub fn layers_are_due(&self, step: u64) -> bool {
        self.layers_every.is_some_and(|every| step.is_multiple_of(every.get()))
    }
}

impl Look {
    /// Measures with these weights.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn take(&self, model: &Transformer) -> Result<(Option<Validated>, Option<Vec<SampleText>>), String> {
        let validated = self.validation.as_ref().map(|validation| validation.measure(model));
        let texts = self.writer.as_ref().map(|write| write(model)).transpose()?;
        Ok((validated, texts))
    }
}

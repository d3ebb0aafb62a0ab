//! Reports to the engine for an attempt that uses secrets.

use std::sync::Arc;

use crate::{CheckpointLine, Reporter, StepError};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::protocol::{Measurement, MetricRow, Progress, SampleText, Samples, SeriesChange};

use super::redact::Redactor;

/// Hides secrets in all text that it forwards.
pub(super) struct RedactedReporter<'a> {
    pub inner: &'a mut dyn Reporter,
    pub redactor: Redactor,
}

impl Reporter for RedactedReporter<'_> {
    fn progress(&mut self, progress: Progress) {
        let (unit, message) = (self.redactor.text(&progress.unit), self.redactor.text(&progress.message));
        self.inner.progress(Progress { unit, message, ..progress });
    }

    fn metric(&mut self, row: MetricRow) {
        self.inner.metric(row);
    }

    fn series(&mut self, change: SeriesChange) {
        self.inner.series(match change {
            SeriesChange::Add(Measurement { train_step, values }) => {
                let hidden = values.into_iter().map(|(name, value)| (self.redactor.text(&name), value)).collect();
                SeriesChange::Add(Measurement { train_step, values: hidden })
            }
            SeriesChange::Samples(Samples { train_step, texts }) => {
                let hide = |sample: SampleText| SampleText {
                    prompt: self.redactor.text(&sample.prompt),
                    text: self.redactor.text(&sample.text),
                };
                SeriesChange::Samples(Samples { train_step, texts: texts.into_iter().map(hide).collect() })
            }
            void @ SeriesChange::Void { .. } => void,
        });
    }

    fn rewind(&mut self, last_step: u64) {
        self.inner.rewind(last_step);
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError> {
        let phase = checkpoint.phase.as_deref().map(|phase| self.redactor.text(phase));
        self.inner.checkpoint(Checkpoint { phase, ..checkpoint })
    }

    fn checkpoint_line(&self) -> Arc<dyn CheckpointLine> {
        self.inner.checkpoint_line()
    }

    fn note(&mut self, message: String) {
        self.inner.note(self.redactor.text(&message));
    }

    fn group(&mut self, leader: u32) {
        self.inner.group(leader);
    }

    fn interrupted(&self) -> bool {
        self.inner.interrupted()
    }
}

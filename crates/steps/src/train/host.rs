//! Connects the training loop with the engine: metrics, progress, checkpoints.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::checkpoint_writer::CheckpointWriter;
use super::layer_warnings::LayerWarnings;
use super::metrics_log::MetricsLog;
use super::utilisation::Utilisation;
use crate::handler::{Reporter, StepError};
use crate::process::resident_bytes;
use crate::tuning_file::TuningFile;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{Measurement, MetricRow, Progress, SampleText, Samples, SeriesChange};
use stepwell_train::training::checkpoint::Snapshot;
use stepwell_train::training::guard::{Rewind, Verdict};
use stepwell_train::training::{TrainError, TrainingHost};

/// Weight of the newest step in the displayed speed.
const SMOOTHING: f64 = 0.1;

pub struct StepHost<'a> {
    reporter: &'a mut dyn Reporter,
    log: MetricsLog,
    tuning: TuningFile,
    writer: CheckpointWriter,
    total_steps: u64,
    utilisation: Utilisation,
    speed: Option<f64>,
    has_saved: bool,
    warnings: LayerWarnings,
}

impl<'a> StepHost<'a> {
    pub fn new(
        reporter: &'a mut dyn Reporter,
        log: MetricsLog,
        tuning: TuningFile,
        writer: CheckpointWriter,
        total_steps: u64,
        utilisation: Utilisation,
    ) -> Self {
        let (has_saved, warnings) = (false, LayerWarnings::default());
        StepHost { reporter, log, tuning, writer, total_steps, utilisation, speed: None, has_saved, warnings }
    }

    /// True once a checkpoint was written or is being written.
    pub fn has_saved(&self) -> bool {
        self.has_saved
    }

    /// The files of the best checkpoint, once nothing is being written.
    pub fn best(&self) -> Option<&ArtifactRef> {
        self.writer.best()
    }

    /// Drops everything after the step to go back to. Returns the checkpoint of that step.
    ///
    /// # Errors
    /// When the log cannot be rewritten.
    pub fn rewind(&mut self, Rewind { to, from }: Rewind) -> Result<Option<Checkpoint>, Failure> {
        self.reporter
            .note(format!("the guard goes back from training step {from} to {to}, and leaves out these samples"));
        let log = MetricsLog::rewound(self.log.path(), to);
        self.log = log.map_err(|error| self.log_failure(&error))?;
        self.reporter.rewind(to);
        Ok(self.writer.rewind(to))
    }

    /// Shows a message beside the run.
    pub fn reporter(&mut self) -> &mut dyn Reporter {
        self.reporter
    }

    fn progress(&mut self, row: &MetricRow) {
        let speed = match self.speed {
            Some(speed) => speed + SMOOTHING * (row.tokens_per_second - speed),
            None => row.tokens_per_second,
        };
        self.speed = Some(speed);
        let message =
            format!("loss {:.2}  lr {:.1e}  {} tok/s", row.loss, row.learning_rate, grouped(speed.round() as u64));
        self.reporter.progress(Progress {
            done: row.train_step,
            total: self.total_steps,
            unit: "steps".to_owned(),
            message,
        });
    }

    fn log_failure(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("cannot write {}", self.log.path().display()), error)
    }
}

impl From<TrainError> for StepError {
    fn from(error: TrainError) -> Self {
        let failure = Failure::fatal(error.to_string());
        StepError::Failed(match error {
            TrainError::Diverged { .. } => failure.with_hint(
                "lower the learning rate, which is `-S learning_rate=NUMBER` in the built-in workflows and \
                 `optimizer.learning_rate` of the step, or lengthen the warm-up",
            ),
            TrainError::GivenUp { .. } => failure.with_hint(
                "lower the learning rate or look at the data of these steps; `guard.rewinds` is how often the guard may go back",
            ),
            TrainError::NoThread(_) | TrainError::Text { .. } => failure,
        })
    }
}

impl TrainingHost for StepHost<'_> {
    type Error = StepError;

    fn step_done(&mut self, row: MetricRow) -> Result<(), StepError> {
        let row = MetricRow { memory_bytes: resident_bytes(), mfu: self.utilisation.of(&row), ..row };
        self.log.append(&row).map_err(|error| self.log_failure(&error))?;
        self.progress(&row);
        self.reporter.metric(row);
        self.writer.poll()
    }

    fn measured(&mut self, train_step: u64, values: BTreeMap<String, f64>) -> Result<(), StepError> {
        self.log.amend(train_step, &values).map_err(|error| self.log_failure(&error))?;
        for warning in self.warnings.of(train_step, &values) {
            self.reporter.note(warning);
        }
        self.reporter.series(SeriesChange::Add(Measurement { train_step, values }));
        Ok(())
    }

    fn guarded(&mut self, train_step: u64, verdict: Verdict, rate: f64) -> Result<(), StepError> {
        let (what, name, value) = match verdict {
            Verdict::Skip => ("skips", "guard_skipped", 1.0),
            Verdict::Cut | Verdict::Take => ("takes, at a lower learning rate,", "guard_rate", rate),
            Verdict::Normal | Verdict::Rewind | Verdict::GiveUp => return Ok(()),
        };
        self.reporter.note(format!("the guard {what} training step {train_step}: it is no finite number, or a spike"));
        self.measured(train_step, BTreeMap::from([(name.to_owned(), value)]))
    }

    fn left_phase(&mut self, train_step: u64, end: u64) -> Result<(), StepError> {
        self.reporter.note(format!(
            "the phase ends after training step {train_step}: its validations no longer improve; steps up to {end} are left out"
        ));
        Ok(())
    }

    fn wrote(&mut self, train_step: u64, texts: Vec<SampleText>) -> Result<(), StepError> {
        self.reporter.series(SeriesChange::Samples(Samples { train_step, texts }));
        Ok(())
    }

    fn save(&mut self, snapshot: Snapshot) -> Result<(), StepError> {
        self.tuning.keep(&snapshot.state.tuning, self.reporter);
        let rows = self.log.handle().map_err(|error| self.log_failure(&error))?;
        self.writer.start(snapshot, rows)?;
        self.has_saved = true;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), StepError> {
        self.writer.settle()
    }

    fn writing_cost(&self) -> Option<Duration> {
        self.writer.cost()
    }

    fn stop_requested(&self) -> bool {
        self.reporter.interrupted()
    }
}

pub const SAFETENSORS: &str = "application/vnd.safetensors";

/// Formats 14000 as `14,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 999, 1000, 14_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "14,000", "1,234,567"]);
    }
}

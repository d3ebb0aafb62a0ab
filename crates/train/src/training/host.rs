//! The host of the training loop, and the ways in which the loop ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checkpoint::Snapshot;
use super::guard::{Guarded, Rewind, Verdict};
use super::watch::Standing;
use crate::model::Transformer;
use stepwell_base::protocol::{MetricRow, SampleText};

/// Reason why training cannot continue.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    #[error("training diverged at step {step}: {what} is {value}")]
    Diverged { step: u64, what: &'static str, value: f64 },
    #[error("training diverged at step {step}, and the guard has gone back {rewinds} times already")]
    GivenUp { step: u64, rewinds: usize },
    #[error("cannot start a thread: {0}")]
    NoThread(String),
    #[error("cannot write a text at step {step}: {why}")]
    Text { step: u64, why: String },
}

/// Surroundings of the loop: takes metrics and checkpoints, and can ask the loop to stop.
pub trait TrainingHost {
    type Error: From<TrainError>;

    /// Records a finished step; called once per step, in order.
    fn step_done(&mut self, row: MetricRow) -> Result<(), Self::Error>;
    /// Records further numbers of the step, by name. The last number of a name counts.
    fn measured(&mut self, train_step: u64, values: BTreeMap<String, f64>) -> Result<(), Self::Error> {
        let _ = (train_step, values);
        Ok(())
    }
    /// Records what the guard does with a step that is suspect. `rate` is its factor on the learning rate.
    fn guarded(&mut self, train_step: u64, verdict: Verdict, rate: f64) -> Result<(), Self::Error> {
        let _ = (train_step, verdict, rate);
        Ok(())
    }
    /// Records that a phase ends after `train_step`, before its last step `end`.
    fn left_phase(&mut self, train_step: u64, end: u64) -> Result<(), Self::Error> {
        let _ = (train_step, end);
        Ok(())
    }
    /// Records texts that the weights of the step wrote, in place of earlier ones.
    fn wrote(&mut self, train_step: u64, texts: Vec<SampleText>) -> Result<(), Self::Error> {
        let _ = (train_step, texts);
        Ok(())
    }
    /// Takes over a snapshot and returns before it is durable. The loop settles the previous snapshot before this
    /// call, so at most one is in memory.
    fn save(&mut self, snapshot: Snapshot) -> Result<(), Self::Error>;
    /// Returns once the last snapshot given to `save`, if any, is a committed checkpoint.
    fn settle(&mut self) -> Result<(), Self::Error>;
    /// Training time that writing the last snapshot cost, besides pauses of the loop; `None` while it is being
    /// written.
    fn writing_cost(&self) -> Option<Duration>;
    /// Reports how long a step waited for its samples; called once per step, before anything is computed.
    fn waited_for_data(&mut self, _: Duration) {}
    /// Must be cheap: the loop calls it many times per step.
    fn stop_requested(&self) -> bool;
}

/// Outcome of the loop.
pub enum Finished {
    /// All steps of the plan are done, or as many as the rule for an early end allows.
    /// `tokens` are those that passed through the model.
    Complete { model: Box<Transformer>, loss: Option<f32>, steps: u64, tokens: u64, standing: Standing },
    /// The host asked to stop; a checkpoint of the last whole step is saved.
    Stopped,
    /// The guard goes back to the checkpoint of an earlier step, with the state that [`Guarded::rewound`] makes.
    Rewound { rewind: Rewind, guarded: Guarded },
}

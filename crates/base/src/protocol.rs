//! The protocol between the engine and the process of one attempt: one JSON object per line, in both directions over
//! a socket that is the standard input of the process. A closed socket means that the engine is gone: the attempt must
//! die at once.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::artifact::Outputs;
use super::checkpoint::Checkpoint;
use super::failure::Failure;
use super::ids::{Fence, RunId, StepId, StepKey};
use super::secret::StandIns;

/// Environment variable that marks every process of an attempt: `RUN/STEP/FENCE`.
pub const ATTEMPT_MARK: &str = "STEPWELL_ATTEMPT_ID";
/// Environment variable of workers that outlive their attempts: the state directory of their engine.
pub const WORKER_MARK: &str = "STEPWELL_WORKER_OF";

/// File in the state directory with the fastest kernels on each GPU, for later processes.
pub const TUNING_FILE: &str = "tuning.json";

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptRequest {
    pub run: RunId,
    pub run_name: String,
    pub step: StepId,
    pub kind: String,
    pub attempt: u32,
    pub fence: Fence,
    /// Also the idempotency key of the step: stable across attempts.
    pub key: StepKey,
    /// Resolved arguments, with stand-ins for secrets.
    pub with: Value,
    /// The secrets that the stand-ins replace.
    #[serde(default, skip_serializing_if = "StandIns::is_empty")]
    pub secrets: StandIns,
    /// The data outside `with` that the kind added to the step key.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub fingerprint: Value,
    #[serde(with = "super::text::path_text")]
    pub state_dir: PathBuf,
    /// Durable directory of this step in this run; survives attempts.
    #[serde(with = "super::text::path_text")]
    pub scratch_dir: PathBuf,
    /// Committed checkpoints of this step, newest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Set in a fork: the attempt resumes from the checkpoint of this training step and must not start over.
    #[serde(default)]
    pub forked_at: Option<u64>,
}

impl AttemptRequest {
    /// The value of [`ATTEMPT_MARK`].
    pub fn mark(&self) -> String {
        format!("{}/{}/{}", self.run, self.step, self.fence.0)
    }

    /// Path of the log for all output of the attempt's processes: `attempt-N.log` beside the scratch directory.
    pub fn log_path(&self) -> PathBuf {
        let step_dir = self.scratch_dir.parent().unwrap_or(&self.scratch_dir);
        step_dir.join(format!("attempt-{}.log", self.attempt))
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToAttempt {
    Start(Box<AttemptRequest>),
    /// The latest checkpoint sent is committed.
    CheckpointCommitted,
    /// Write a checkpoint if possible, then answer `Interrupted`.
    Interrupt,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromAttempt {
    Heartbeat,
    /// A program has started as a process group of its own.
    Group {
        leader: u32,
    },
    Progress(Progress),
    Metric(MetricRow),
    /// Metrics after `last_step` are void: the attempt resumes from there.
    Rewind {
        last_step: u64,
    },
    Checkpoint(Box<Checkpoint>),
    Note {
        message: String,
    },
    Done(Outputs),
    Failed(Failure),
    Interrupted,
    /// The next message is this attempt's last; after it the worker is free for reuse.
    Idle,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// In `unit`s; `total` is 0 when unknown.
    pub done: u64,
    pub total: u64,
    /// `steps`, `documents`, `bytes`, `tokens`.
    pub unit: String,
    /// Shown behind the bar, such as `loss 3.21  lr 1.2e-3  14,000 tok/s`.
    pub message: String,
}

/// One row per training step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MetricRow {
    /// 1-based number of the optimizer step that was just taken.
    pub train_step: u64,
    /// Mean cross-entropy over the step's tokens, nats.
    pub loss: f64,
    /// Amount that the z-loss adds to the minimised loss, if it is used. In `metrics.jsonl`, not in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z_loss: Option<f64>,
    pub learning_rate: f64,
    /// Global L2 norm before clipping.
    pub grad_norm: f64,
    pub tokens_so_far: u64,
    pub tokens_per_second: f64,
}

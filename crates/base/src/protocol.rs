//! The protocol between the engine and the process of one attempt: one JSON object per line, in both directions over
//! a socket that is the standard input of the process. A closed socket means that the engine is gone: the attempt must
//! die at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Folder of the person's workflow file and scripts; empty if the workflow has no file.
    #[serde(default, with = "super::text::path_text")]
    pub project_dir: PathBuf,
    /// Committed checkpoints of this step, newest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Set in a fork: the attempt resumes from the checkpoint of this training step and must not start over.
    #[serde(default)]
    pub forked_at: Option<u64>,
    /// The last step of the committed measurements that the program of this step has reported, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_up_to: Option<u64>,
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
    Series(SeriesChange),
    /// Processor time, memory and disk space of the processes of the attempt.
    Usage(Usage),
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
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MetricRow {
    /// 1-based number of the optimizer step that was just taken.
    pub train_step: u64,
    /// Mean cross-entropy over the step's tokens, nats.
    pub loss: f64,
    /// Amount that the z-loss adds to the minimised loss, if it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z_loss: Option<f64>,
    pub learning_rate: f64,
    /// Global L2 norm before clipping.
    pub grad_norm: f64,
    pub tokens_so_far: u64,
    pub tokens_per_second: f64,
    /// Time that the step waited for its samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_wait_seconds: Option<f64>,
    /// Resident memory of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Model FLOPs utilisation: the share of the device's measured peak, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfu: Option<f64>,
}

/// Most texts of one training step, and most bytes of a prompt and of a text.
pub const MOST_SAMPLES: usize = 16;
pub const LONGEST_SAMPLE: usize = 8192;

/// Texts that a model wrote at one training step.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Samples {
    pub train_step: u64,
    pub texts: Vec<SampleText>,
}

/// A prompt and the model's continuation.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SampleText {
    pub prompt: String,
    pub text: String,
}

/// Time between two measurements of what an attempt uses.
pub const USAGE_PERIOD: Duration = Duration::from_secs(10);
/// Most measurements of an attempt that are kept: two hours of them, or fewer of a longer attempt.
const MOST_USAGES: u64 = 720;

/// Processor time, memory and disk space of all processes of an attempt.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Number of the measurement: so many periods after the start of the attempt.
    pub number: u64,
    /// Processor time so far, also of processes that have ended.
    pub cpu_seconds: f64,
    /// Resident memory now, and the most of all measurements so far. Shared pages count in each process.
    pub memory_bytes: u64,
    pub peak_bytes: u64,
    /// Free space of the file system with the state directory.
    pub disk_free_bytes: Option<u64>,
    /// Use of the machine's GPUs, from 0 to 1, and memory in use on them.
    pub gpu_ratio: Option<f64>,
    pub gpu_bytes: Option<u64>,
}

impl Usage {
    /// Distance between the numbers of the measurements that are kept once there are `number` of them. It is a power of two:
    /// a larger distance keeps no measurement that a smaller one has dropped.
    pub fn stride(number: u64) -> u64 {
        (number / MOST_USAGES + 1).next_power_of_two()
    }

    /// True if this measurement is kept.
    pub fn is_kept(&self) -> bool {
        self.number.is_multiple_of(Usage::stride(self.number))
    }
}

/// Numbers that belong to one training step, by name. NaN stands for everything that is no finite number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    pub train_step: u64,
    #[serde(with = "nan_as_null")]
    pub values: BTreeMap<String, f64>,
}

/// NaN equals NaN here.
impl PartialEq for Measurement {
    fn eq(&self, other: &Measurement) -> bool {
        let same = |(a, b): (f64, f64)| a == b || a.is_nan() && b.is_nan();
        self.train_step == other.train_step
            && self.values.keys().eq(other.values.keys())
            && self.values.values().copied().zip(other.values.values().copied()).all(same)
    }
}

/// A change of the series that a program reports.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesChange {
    /// An attempt starts to report at this step: what earlier attempts reported from there on is void.
    Void { from: u64 },
    /// Adds names to the row of a step; the last number of a name counts.
    Add(Measurement),
    /// Texts of a step, in place of earlier ones.
    Samples(Samples),
}

impl SeriesChange {
    /// True for what belongs to a training step after `last_step`.
    pub fn is_after(&self, last_step: u64) -> bool {
        match self {
            SeriesChange::Void { .. } => false,
            SeriesChange::Add(row) => row.train_step > last_step,
            SeriesChange::Samples(samples) => samples.train_step > last_step,
        }
    }
}

/// JSON has no NaN.
mod nan_as_null {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, value.is_finite().then_some(*value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let values: BTreeMap<String, Option<f64>> = BTreeMap::deserialize(deserializer)?;
        Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_attempts_keep_a_bounded_number_of_measurements() {
        let (mut kept, mut most) = (Vec::new(), 0);
        for number in 1..50_000 {
            let usage = Usage { number, ..Usage::default() };
            if usage.is_kept() {
                kept.retain(|earlier: &u64| earlier.is_multiple_of(Usage::stride(number)));
                kept.push(number);
            }
            most = most.max(kept.len() as u64);
            assert!(number < 720 || kept.len() as u64 >= 300, "{} of {number}", kept.len());
        }
        assert!(most <= MOST_USAGES, "{most}");
    }

    #[test]
    fn a_measurement_crosses_the_socket_with_its_gaps() {
        let message = |b: f64, a: f64| {
            let values = BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
            FromAttempt::Series(SeriesChange::Add(Measurement { train_step: 7, values }))
        };
        let text = serde_json::to_string(&message(f64::INFINITY, 0.1)).unwrap();
        let read: FromAttempt = serde_json::from_str(&text).unwrap();
        assert_eq!(read, message(f64::NAN, 0.1), "{text}");
        assert_ne!(read, message(f64::NAN, 0.2));
        assert_ne!(read, message(0.0, 0.1));
    }
}

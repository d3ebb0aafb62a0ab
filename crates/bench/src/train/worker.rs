//! Our contestant: the training loop itself, which pauses after the requested number of steps.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::material::Material;
use crate::contest::Host;
use crate::error::BenchError;
use stepwell_base::protocol::{MetricRow, TUNING_FILE};
use stepwell_train::device::{self, tuning};
use stepwell_train::model::Transformer;
use stepwell_train::ops::gemm_rate::gemm_rate;
use stepwell_train::precision::Precision;
use stepwell_train::training::checkpoint::Snapshot;
use stepwell_train::training::{TrainError, Trainer, TrainingHost};

/// Answer of a contestant after the steps of one turn.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Turn {
    /// Duration of each step.
    pub seconds: Vec<f64>,
    pub losses: Vec<f64>,
    /// Part of `seconds` in which the step waited for its samples.
    pub waited: Vec<f64>,
}

/// Answer of a contestant about its matrix product.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct GemmRate {
    pub flops_per_second: f64,
}

/// Trains on the material in a folder with a precision, as standard input asks, until the input ends.
///
/// # Errors
/// When the material cannot be read or training fails.
pub fn work(folder: &Path, precision: Precision) -> Result<(), BenchError> {
    let mut material = Material::read(folder)?;
    material.plan.precision = precision;
    let samplers = [material.sampler(folder)?];
    let device = device::open_with(&material.device, precision)?.autodiff();
    adopt_kernels(folder);
    let model = Transformer::init(&material.shape, material.plan.seed, &device);
    let trainer = Trainer::new(&material.plan, &samplers, model, material.optimizer, &material.device);
    let host = Host::ready().map_err(BenchError::system("answer"))?;
    let (device, turn, since) = (&material.device, Turn::default(), Instant::now());
    let mut turns = Turns { host, device, precision, left: 0, turn, since };
    let ended = match turns.next_turn() {
        Ok(()) => trainer.run(&mut turns).map(drop),
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) | Err(Ended::NoMore) => keep_kernels(folder),
        Err(Ended::Io(error)) => Err(BenchError::system("answer")(error)),
        Err(Ended::Train(error)) => Err(error.into()),
        Err(Ended::Device(error)) => Err(error.into()),
    }
}

/// Takes the GPU kernels that an earlier contestant chose for this material.
fn adopt_kernels(folder: &Path) {
    let kept = fs::read(folder.join(TUNING_FILE)).ok();
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        tuning::adopt(kept);
    }
}

fn keep_kernels(folder: &Path) -> Result<(), BenchError> {
    let chosen = tuning::current();
    if chosen.is_empty() {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&chosen).map_err(|error| BenchError::system("write JSON")(error.into()))?;
    fs::write(folder.join(TUNING_FILE), bytes).map_err(BenchError::system("write the temporary folder"))
}

/// Reason why the training ended.
enum Ended {
    /// No more requests came.
    NoMore,
    Io(io::Error),
    Train(TrainError),
    Device(device::DeviceError),
}

impl From<TrainError> for Ended {
    fn from(error: TrainError) -> Self {
        Ended::Train(error)
    }
}

/// Gives the loop the steps of each turn.
struct Turns<'a> {
    host: Host,
    device: &'a str,
    precision: Precision,
    /// Steps left in this turn.
    left: usize,
    turn: Turn,
    since: Instant,
}

impl Turns<'_> {
    /// Waits until steps are requested, and answers other requests.
    fn next_turn(&mut self) -> Result<(), Ended> {
        while let Some(request) = self.host.request().map_err(Ended::Io)? {
            let (name, number) = request.split_once(' ').unwrap_or((&request, ""));
            let number: usize = number.parse().unwrap_or(1);
            match name {
                "step" => {
                    (self.left, self.turn, self.since) = (number.max(1), Turn::default(), Instant::now());
                    return Ok(());
                }
                "gemm" => {
                    let flops_per_second = gemm_rate(self.device, number, self.precision).map_err(Ended::Device)?;
                    self.host.answer(&GemmRate { flops_per_second }).map_err(Ended::Io)?;
                }
                _ => return Err(Ended::NoMore),
            }
        }
        Err(Ended::NoMore)
    }
}

impl TrainingHost for Turns<'_> {
    type Error = Ended;

    fn waited_for_data(&mut self, time: Duration) {
        self.turn.waited.push(time.as_secs_f64());
    }

    fn step_done(&mut self, row: MetricRow) -> Result<(), Ended> {
        self.turn.seconds.push(self.since.elapsed().as_secs_f64());
        self.turn.losses.push(row.loss);
        self.left -= 1;
        if self.left == 0 {
            self.host.answer(&self.turn).map_err(Ended::Io)?;
            return self.next_turn();
        }
        self.since = Instant::now();
        Ok(())
    }

    fn save(&mut self, _: Snapshot) -> Result<(), Ended> {
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Ended> {
        Ok(())
    }

    fn writing_cost(&self) -> Option<Duration> {
        None
    }

    fn stop_requested(&self) -> bool {
        false
    }
}

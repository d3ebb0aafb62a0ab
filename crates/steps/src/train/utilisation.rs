//! Model FLOPs utilisation: the share of the processor's speed that goes into the model (Chowdhery et al. 2022).

use std::time::{Duration, Instant};

use stepwell_base::protocol::MetricRow;
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::flops;
use stepwell_train::ops::gemm_rate::gemm_rate;
use stepwell_train::training::plan::Plan;

/// Training time before the peak is measured, once: shorter trainings do not pay for it.
const AFTER: Duration = Duration::from_secs(60);
/// Rows and columns of the matrix product whose rate counts as the peak, as in `bench train`.
const SIZE: usize = 1024;
/// The backend whose peak is measured. The shape of such a product would be one more kernel to choose on a GPU.
const CPU: &str = "flex";

/// Computes the utilisation of each step, once the peak is known.
pub struct Utilisation {
    started: Instant,
    peak: Peak,
    /// For each phase: operations per token.
    per_token: Vec<f64>,
    plan: Plan,
}

enum Peak {
    /// Not measured on this device.
    Unknown,
    Later,
    /// Operations per second.
    Known(f64),
}

impl Utilisation {
    pub fn new(backend: &str, shape: &ModelConfig, plan: &Plan) -> Self {
        let of_phase = |context: usize| flops::per_token(&ModelConfig { context, ..shape.clone() });
        Utilisation {
            started: Instant::now(),
            peak: if backend == CPU { Peak::Later } else { Peak::Unknown },
            per_token: plan.phases.iter().map(|phase| of_phase(phase.context)).collect(),
            plan: plan.clone(),
        }
    }

    /// The share, from 0 to 1, of a step that has just been taken.
    pub fn of(&mut self, row: &MetricRow) -> Option<f64> {
        if matches!(self.peak, Peak::Later) && self.started.elapsed() >= AFTER {
            self.peak = gemm_rate(CPU, SIZE, self.plan.precision).map_or(Peak::Unknown, Peak::Known);
        }
        let Peak::Known(peak) = self.peak else { return None };
        let phase = self.plan.place(row.train_step.saturating_sub(1)).phase;
        Some(row.tokens_per_second * self.per_token.get(phase)? / peak)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn utilisation(backend: &str) -> Utilisation {
        let plan = json!({
            "seed": 1, "batch": 1, "accumulation": 1, "learning_rate": 1e-3, "schedule": {}, "clip": 1.0,
            "checkpoint_every": null,
            "phases": [
                {"name": "a", "steps": 5, "lr_scale": 1.0, "learning_rate": null, "schedule": null, "context": 64},
                {"name": "b", "steps": 5, "lr_scale": 1.0, "learning_rate": null, "schedule": null, "context": 32},
            ],
        });
        Utilisation::new(backend, &ModelConfig::preset("tiny").unwrap(), &serde_json::from_value(plan).unwrap())
    }

    fn row(train_step: u64) -> MetricRow {
        MetricRow { train_step, tokens_per_second: 1000.0, ..MetricRow::default() }
    }

    #[test]
    fn the_peak_is_measured_after_a_minute_and_only_on_the_cpu() {
        let mut early = utilisation("flex");
        assert_eq!(early.of(&row(1)), None);
        early.started = early.started.checked_sub(AFTER).unwrap();
        let share = early.of(&row(1)).unwrap();
        assert!(share > 0.0 && share < 1.0, "{share}");
        let mut gpu = utilisation("cuda");
        gpu.started = gpu.started.checked_sub(AFTER).unwrap();
        assert_eq!(gpu.of(&row(1)), None);
    }

    #[test]
    fn a_phase_with_a_shorter_context_has_less_attention() {
        let mut known = utilisation("flex");
        known.peak = Peak::Known(1e12);
        let (first, last) = (known.of(&row(5)).unwrap(), known.of(&row(6)).unwrap());
        assert!(last < first, "{first} {last}");
        assert!((first - 1000.0 * known.per_token[0] / 1e12).abs() < 1e-12);
    }
}

//! `train.find_rate`: raises the learning rate of a training exponentially and suggests one from the loss.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::prepared::{Prepared, backend, model_and_plan};
use crate::handler::{Highlight, JSON, Reporter, StepContext, StepError, StepHandler, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::protocol::{MetricRow, Progress};
use stepwell_train::training::checkpoint::Snapshot;
use stepwell_train::training::schedule::Schedule;
use stepwell_train::training::{Finished, TrainError, TrainingHost};
use stepwell_workflow::catalog::{Figure, Given, Gives};

pub struct FindRate;
pub static FIND_RATE: FindRate = FindRate;

/// Weight of the loss before in the smoothed loss.
const SMOOTHING: f64 = 0.9;
/// The sweep ends when the smoothed loss is so much higher than the lowest.
const STOP_ABOVE: f64 = 2.0;
/// Share of the rate with the lowest loss that is suggested: at that rate itself the loss no longer falls.
const SUGGESTED_SHARE: f64 = 0.1;
/// Fewest and most steps of a sweep.
const STEPS: std::ops::RangeInclusive<u64> = 10..=10_000;

const OUTPUTS: [(&str, &str); 1] = [("curve", "list of `{step, rate, loss, smoothed}` as JSON")];
const VALUES: [Figure; 4] = [
    Figure::new("suggestion", "learning rate to start with: a tenth of that with the lowest smoothed loss"),
    Figure::new("lowest_at", "learning rate with the lowest smoothed loss"),
    Figure::new("steepest_at", "learning rate at which the smoothed loss fell fastest"),
    Figure::new("ended_at", "last learning rate: the sweep ends early when the loss has doubled or is no number"),
];

/// Arguments of the step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FindRateArguments {
    /// Arguments of the `train` step to find a rate for. Of `phases`, the first counts.
    train: Value,
    /// Lowest rate.
    #[serde(default = "lowest")]
    from: f64,
    /// Highest rate.
    #[serde(default = "highest")]
    to: f64,
    /// Optimizer steps, each with a rate that is higher by the same factor.
    #[serde(default = "steps")]
    steps: u64,
}

fn lowest() -> f64 {
    1e-6
}

fn highest() -> f64 {
    1.0
}

fn steps() -> u64 {
    100
}

impl FindRateArguments {
    /// The training of the sweep.
    ///
    /// # Errors
    /// When the rates do not rise, or the arguments of the training are wrong.
    fn sweep(&self) -> Result<Arguments, Failure> {
        let FindRateArguments { from, to, steps, .. } = *self;
        if !(from > 0.0 && to > from && to.is_finite()) {
            return Err(Failure::fatal(format!("the rates go from {from} to {to}: they must be above 0 and rise"))
                .with_hint("`from = 1e-6` and `to = 1.0` are the defaults"));
        }
        if !STEPS.contains(&steps) {
            let message = format!("`steps` is {steps}; it must be {} to {}", STEPS.start(), STEPS.end());
            return Err(Failure::fatal(message));
        }
        let train: Arguments =
            serde_json::from_value(self.train.clone()).map_err(|error| Failure::fatal(format!("`train`: {error}")))?;
        let factor = |step: u64| (from / to) * (to / from).powf(step as f64 / (steps - 1) as f64);
        let points = (0..steps).map(|step| (step, factor(step).min(1.0))).collect();
        Ok(train.sweeping(Schedule::through(points), to, steps))
    }
}

/// A step of the sweep.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
struct Point {
    step: u64,
    rate: f64,
    loss: f64,
    smoothed: f64,
}

/// The losses of a sweep, and what they say.
#[derive(Default)]
struct Curve {
    points: Vec<Point>,
    /// Mean of the losses with weights that fall with their age, not yet divided by the sum of the weights.
    mean: f64,
}

impl Curve {
    fn add(&mut self, rate: f64, loss: f64) {
        let step = self.points.len() as u64 + 1;
        self.mean = SMOOTHING * self.mean + (1.0 - SMOOTHING) * loss;
        let smoothed = self.mean / (1.0 - SMOOTHING.powf(step as f64));
        self.points.push(Point { step, rate, loss, smoothed });
    }

    fn lowest(&self) -> Option<Point> {
        self.points.iter().copied().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed))
    }

    /// The point before the lowest at which the smoothed loss fell fastest per factor of the rate.
    fn steepest(&self) -> Option<Point> {
        let lowest = self.lowest()?;
        let fall = |pair: &[Point]| (pair[1].smoothed - pair[0].smoothed) / (pair[1].rate / pair[0].rate).ln();
        let pairs = self.points.windows(2).filter(|pair| pair[1].step <= lowest.step);
        let steepest = pairs.min_by(|a, b| fall(a).total_cmp(&fall(b)));
        Some(steepest.map_or(lowest, |pair| pair[1]))
    }

    /// True when higher rates only make it worse.
    fn is_over(&self) -> bool {
        let lowest = self.lowest().map_or(f64::INFINITY, |lowest| lowest.smoothed);
        self.points.last().is_some_and(|last| last.smoothed > STOP_ABOVE * lowest)
    }

    fn values(&self) -> Result<Map<String, Value>, Failure> {
        let (Some(lowest), Some(steepest), Some(last)) = (self.lowest(), self.steepest(), self.points.last()) else {
            return Err(Failure::fatal("the loss is no finite number at the lowest rate")
                .with_hint("lower `from`, or look at the data and the model"));
        };
        let entries = [
            ("suggestion", SUGGESTED_SHARE * lowest.rate),
            ("lowest_at", lowest.rate),
            ("steepest_at", steepest.rate),
            ("ended_at", last.rate),
        ];
        Ok(entries.map(|(name, rate)| (name.to_owned(), json!(rounded(rate)))).into_iter().collect())
    }
}

/// Three digits are more than a suggestion has.
fn rounded(rate: f64) -> f64 {
    format!("{rate:.2e}").parse().unwrap_or(rate)
}

/// Collects the losses and ends the sweep.
struct SweepHost<'a> {
    reporter: &'a mut dyn Reporter,
    curve: Curve,
    steps: u64,
}

enum SweepError {
    /// The loss or the gradient is no finite number any more.
    Diverged,
    Step(StepError),
}

impl From<TrainError> for SweepError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Diverged { .. } | TrainError::GivenUp { .. } => SweepError::Diverged,
            other => SweepError::Step(StepError::Failed(Failure::from_error(FailureKind::Fatal, &other))),
        }
    }
}

impl TrainingHost for SweepHost<'_> {
    type Error = SweepError;

    fn step_done(&mut self, row: MetricRow) -> Result<(), SweepError> {
        self.curve.add(row.learning_rate, row.loss);
        self.reporter.progress(Progress {
            done: row.train_step,
            total: self.steps,
            unit: "steps".to_owned(),
            message: format!("loss {:.2}  lr {:.1e}", row.loss, row.learning_rate),
        });
        Ok(())
    }

    fn measured(&mut self, _: u64, _: BTreeMap<String, f64>) -> Result<(), SweepError> {
        Ok(())
    }

    /// A sweep takes as long as a few steps of a training, and keeps nothing.
    fn save(&mut self, _: Snapshot) -> Result<(), SweepError> {
        Ok(())
    }

    fn settle(&mut self) -> Result<(), SweepError> {
        Ok(())
    }

    fn writing_cost(&self) -> Option<Duration> {
        None
    }

    fn stop_requested(&self) -> bool {
        self.curve.is_over() || self.reporter.interrupted()
    }
}

impl StepHandler for FindRate {
    fn kind(&self) -> &'static str {
        "train.find_rate"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "find a learning rate for a training"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(FindRateArguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::Named(&OUTPUTS), values: Given::Figures(&VALUES) }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        let sweep = arguments::<FindRateArguments>(with)?.sweep()?;
        if sweep.from.is_none() {
            model_and_plan(&sweep, 1)?;
        }
        backend(&sweep.device).map(drop)
    }

    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let sweep = arguments::<FindRateArguments>(with)?.sweep()?;
        Ok(json!({"backend": backend(&sweep.device)?}))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: FindRateArguments = context.arguments()?;
        let prepared = Prepared::of(context, &arguments.sweep()?)?;
        let trainer = prepared.trainer(None)?;
        let mut host = SweepHost { reporter: context.reporter, curve: Curve::default(), steps: arguments.steps };
        let ended = trainer.run(&mut host);
        let SweepHost { curve, reporter, .. } = host;
        match ended {
            Err(SweepError::Step(error)) => return Err(error),
            Ok(Finished::Stopped) if !curve.is_over() => return Err(StepError::Interrupted),
            Ok(_) | Err(SweepError::Diverged) => {}
        }
        let values = curve.values()?;
        reporter.note(format!(
            "a learning rate to start with is {}: the smoothed loss is lowest at {}",
            values["suggestion"], values["lowest_at"]
        ));
        let file = serde_json::to_vec(&curve.points).map_err(|error| Failure::fatal(error.to_string()))?;
        let curve = context.artifacts.put_bytes(&file, JSON)?;
        Ok(Outputs { artifacts: BTreeMap::from([("curve".to_owned(), curve)]), values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Recorder, TrainingLab};

    fn sweep(lab: &TrainingLab, change: Value) -> Value {
        let mut with = json!({ "train": lab.train_arguments(json!({})), "from": 1e-5, "to": 10.0, "steps": 60 });
        with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        with
    }

    #[test]
    fn the_suggestion_is_a_rate_at_which_the_loss_falls() {
        let lab = TrainingLab::new();
        let with = sweep(&lab, json!({}));
        let outputs = lab.run_once(&FIND_RATE, with.clone());
        let value = |name: &str| outputs.values[name].as_f64().unwrap();
        assert!(value("suggestion") < value("lowest_at") && value("steepest_at") <= value("lowest_at"));
        assert!((1e-4..1.0).contains(&value("suggestion")), "{}", value("suggestion"));
        let curve: Vec<Value> =
            serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["curve"]).unwrap()).unwrap();
        let rate = |step: usize| curve[step]["rate"].as_f64().unwrap();
        for step in 1..curve.len().min(59) {
            assert!((rate(step) / rate(step - 1) - 1e6f64.powf(1.0 / 59.0)).abs() < 1e-9, "step {step}");
        }
        assert_eq!(lab.run_once(&FIND_RATE, with).artifacts, outputs.artifacts, "the same sweep again");
    }

    #[test]
    fn a_sweep_that_diverges_ends_with_what_it_has() {
        let lab = TrainingLab::new();
        let mut train = lab.train_arguments(json!({}));
        train["optimizer"] = json!({ "clip": 0.0 });
        let outputs = lab.run_once(&FIND_RATE, sweep(&lab, json!({ "train": train, "to": 1e30, "steps": 80 })));
        assert!(outputs.values["ended_at"].as_f64().unwrap() < 1e29);
    }

    #[test]
    fn sweeps_without_a_meaning_are_refused() {
        let lab = TrainingLab::new();
        for (change, message) in [
            (json!({ "from": 0.0 }), "the rates go from 0 to 10"),
            (json!({ "to": 1e-6 }), "they must be above 0 and rise"),
            (json!({ "steps": 3 }), "`steps` is 3; it must be 10 to 10000"),
            (json!({ "train": { "stepz": 3 } }), "`train`: unknown field `stepz`"),
        ] {
            let failure = FIND_RATE.check(&sweep(&lab, change.clone())).unwrap_err();
            assert!(failure.message.contains(message), "{change}: {failure}");
        }
    }

    #[test]
    fn an_interruption_starts_over() {
        let lab = TrainingLab::new();
        let with = sweep(&lab, json!({}));
        let looks = std::cell::Cell::new(Some(5));
        let mut recorder = Recorder { looks_left: looks, ..Recorder::default() };
        assert!(matches!(lab.attempt(&FIND_RATE, with.clone(), &mut recorder), Err(StepError::Interrupted)));
        let whole = lab.run_once(&FIND_RATE, with.clone());
        assert_eq!(lab.run_once(&FIND_RATE, with).artifacts, whole.artifacts);
    }

    #[test]
    fn the_curve_is_smoothed_from_its_start_and_ends_when_the_loss_has_doubled() {
        let mut curve = Curve::default();
        for (rate, loss) in [(1.0, 4.0), (2.0, 4.0), (4.0, 2.0), (8.0, 4.0)] {
            curve.add(rate, loss);
        }
        assert!((curve.points[1].smoothed - 4.0).abs() < 1e-12 && !curve.is_over());
        assert_eq!((curve.lowest().unwrap().rate, curve.steepest().unwrap().rate), (4.0, 4.0));
        (0..9).for_each(|_| curve.add(16.0, 30.0));
        assert!(curve.is_over());
    }
}

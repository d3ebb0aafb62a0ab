//! Results of one `bench train`.

use serde::Serialize;

use super::mode::Mode;
use crate::statistics::median;
use stepwell_train::model::flops;

/// Number of steps, from the shared initial weights on, over which losses are compared.
pub const COMPARED_STEPS: usize = 200;

/// Results of one contestant.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// `stepwell` or `torch`.
    pub system: &'static str,
    pub mode: String,
    /// Number format of the matrix products.
    pub dtype: &'static str,
    pub threads: usize,
    pub version: String,
    /// Median over all timed steps.
    pub seconds_per_step: f64,
    /// Mean processor time of all threads, the figure that other load on the machine changes least. Linux only.
    pub cpu_seconds_per_step: Option<f64>,
    pub tokens_per_second: f64,
    pub model_flops_per_second: f64,
    /// `model_flops_per_second` over the rate of the best product with this number format and this number of threads.
    pub mfu: Option<f64>,
    /// Peak memory of the process; Linux only.
    pub peak_memory_mib: Option<f64>,
    /// Share of the time in which steps waited for their samples.
    pub waiting_share: f64,
    /// Time until the process accepted requests.
    pub startup_seconds: f64,
    /// Duration of the first step, with everything that it compiles or allocates.
    pub first_step_seconds: f64,
    /// Rate of a large matrix product: the best of all rounds.
    pub gemm_flops_per_second: f64,
    /// Duration of each timed step, round after round.
    pub seconds: Vec<f64>,
    /// Loss of every step, from the initial weights on.
    pub losses: Vec<f64>,
}

impl Row {
    pub fn name(&self) -> String {
        format!("{} {}", self.system, self.mode)
    }

    /// Median of each round of `steps` steps.
    fn rounds(&self, steps: usize) -> Vec<f64> {
        self.seconds.chunks(steps).map(median).collect()
    }
}

/// Rate of the best matrix product with a number format and a number of threads: the peak that MFU is a share of.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Peak {
    pub dtype: &'static str,
    pub threads: usize,
    pub flops_per_second: f64,
    /// Name of the contestant that computed the product.
    pub by: String,
}

/// A ratio, with a goal where one is set.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    pub name: String,
    /// Ratio of medians.
    pub value: f64,
    /// Lowest and highest ratio of one round.
    pub least: Option<f64>,
    pub most: Option<f64>,
    /// For example `>= 1.35`.
    pub goal: Option<String>,
    pub met: Option<bool>,
}

impl Comparison {
    fn new(name: String, value: f64) -> Self {
        Comparison { name, value, least: None, most: None, goal: None, met: None }
    }

    fn at_least(self, limit: f64) -> Self {
        Comparison { goal: Some(format!(">= {limit}")), met: Some(self.value >= limit), ..self }
    }

    fn at_most(self, limit: f64) -> Self {
        Comparison { goal: Some(format!("<= {limit}")), met: Some(self.value <= limit), ..self }
    }
}

/// Distance between our losses and another contestant's, from shared weights and batches.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Deviation {
    /// Name of our contestant.
    pub of: String,
    pub from: String,
    pub threads: usize,
    /// Number of compared steps.
    pub steps: usize,
    /// Largest absolute difference, and its 1-based step.
    pub largest: f64,
    pub at_step: usize,
    pub goal: Option<String>,
    pub met: Option<bool>,
}

/// Everything that one `bench train` found.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct TrainReport {
    pub preset: String,
    pub device: String,
    pub parameters: usize,
    pub batch: usize,
    pub context: usize,
    pub rounds: usize,
    pub steps_per_round: usize,
    pub z_loss: f64,
    pub flop_formula: &'static str,
    pub flop_per_token: f64,
    pub cores: usize,
    /// Load averages before and after; empty where the system does not report them.
    pub load_before: String,
    pub load_after: String,
    pub rows: Vec<Row>,
    pub peaks: Vec<Peak>,
    pub speed: Vec<Comparison>,
    /// The same comparisons for processor times.
    pub cpu: Vec<Comparison>,
    pub memory: Vec<Comparison>,
    pub scaling: Vec<Comparison>,
    pub deviations: Vec<Deviation>,
}

pub(super) const OURS: &str = "stepwell";
pub(super) const THEIRS: &str = "torch";

impl TrainReport {
    /// Computes everything that follows from the rows.
    pub(super) fn conclude(&mut self) {
        self.peaks = peaks(&self.rows);
        for row in &mut self.rows {
            let peak = self.peaks.iter().find(|peak| peak.dtype == row.dtype && peak.threads == row.threads);
            row.mfu = peak.map(|peak| row.model_flops_per_second / peak.flops_per_second);
        }
        for (ours, other) in pairs(&self.rows) {
            let name = format!("{} / {}, {} threads", ours.name(), other.name(), ours.threads);
            self.speed.push(speed(name.clone(), ours, other, self.steps_per_round));
            if let (Some(own), Some(other)) = (ours.cpu_seconds_per_step, other.cpu_seconds_per_step) {
                self.cpu.push(Comparison::new(name.clone(), other / own));
            }
            if let (THEIRS, Some(own), Some(other)) = (other.system, ours.peak_memory_mib, other.peak_memory_mib) {
                self.memory.push(Comparison::new(name, own / other).at_most(0.7));
            }
            self.deviations.push(deviation(ours, other));
        }
        self.scaling = scaling(&self.rows);
    }
}

/// Pairs each row of ours with the rows it is compared with, on equal threads: theirs and, for bf16, our own f32.
fn pairs(rows: &[Row]) -> impl Iterator<Item = (&Row, &Row)> {
    let all = rows.iter().flat_map(move |ours| rows.iter().map(move |other| (ours, other)));
    all.filter(|(ours, other)| {
        let rivals = other.system == THEIRS || (ours.dtype, other.dtype) == ("bf16", "f32");
        ours.system == OURS && ours.threads == other.threads && rivals
    })
}

/// Number of steps that ours takes while theirs takes one.
fn speed(name: String, ours: &Row, theirs: &Row, steps: usize) -> Comparison {
    let rounds: Vec<f64> =
        ours.rounds(steps).into_iter().zip(theirs.rounds(steps)).map(|(own, other)| other / own).collect();
    let least = rounds.iter().copied().reduce(f64::min);
    let most = rounds.iter().copied().reduce(f64::max);
    let value = theirs.seconds_per_step / ours.seconds_per_step;
    let ratio = Comparison { least, most, ..Comparison::new(name, value) };
    match (ours.dtype, theirs.mode.parse()) {
        ("f32", Ok(Mode::F32)) => ratio.at_least(1.35),
        ("f32", Ok(Mode::F32Compile)) => ratio.at_least(1.2),
        ("bf16", Ok(Mode::Bf16Compile)) => ratio.at_least(1.0),
        _ => ratio,
    }
}

fn deviation(ours: &Row, theirs: &Row) -> Deviation {
    let both = ours.losses.iter().zip(&theirs.losses).take(COMPARED_STEPS);
    let differences: Vec<f64> = both.map(|(own, other)| (own - other).abs()).collect();
    // NaN counts as more than any number, so that a diverged contestant does not look equal.
    let worst = (0..differences.len()).max_by(|a, b| differences[*a].total_cmp(&differences[*b]));
    let largest = worst.map_or(0.0, |step| differences[step]);
    let at_step = worst.map_or(0, |step| step + 1);
    let exact = ours.dtype == "f32" && theirs.dtype == "f32";
    Deviation {
        of: ours.name(),
        from: theirs.name(),
        threads: ours.threads,
        steps: differences.len(),
        largest,
        at_step,
        goal: exact.then(|| "<= 0.001".to_owned()),
        met: exact.then_some(largest <= 1e-3),
    }
}

fn peaks(rows: &[Row]) -> Vec<Peak> {
    let mut peaks: Vec<Peak> = Vec::new();
    for row in rows {
        let (dtype, threads, flops_per_second) = (row.dtype, row.threads, row.gemm_flops_per_second);
        let found = Peak { dtype, threads, flops_per_second, by: row.name() };
        match peaks.iter_mut().find(|peak| peak.dtype == dtype && peak.threads == threads) {
            Some(peak) if peak.flops_per_second < flops_per_second => *peak = found,
            Some(_) => {}
            None => peaks.push(found),
        }
    }
    peaks
}

/// Compares every contestant that has more threads with itself on the fewest.
fn scaling(rows: &[Row]) -> Vec<Comparison> {
    let mut found = Vec::new();
    for row in rows {
        let same = rows.iter().filter(|other| other.name() == row.name());
        let Some(fewest) = same.min_by_key(|other| other.threads).filter(|other| other.threads < row.threads) else {
            continue;
        };
        let name = format!("{}, {} threads / {}", row.name(), row.threads, fewest.threads);
        let ratio = Comparison::new(name, fewest.seconds_per_step / row.seconds_per_step);
        let has_goal = row.system == OURS && (fewest.threads, row.threads) == (1, 2);
        found.push(if has_goal { ratio.at_least(1.8) } else { ratio });
    }
    found
}

/// Tokens per second and model FLOPs per second, from the shape and the median time of a step.
pub(super) fn rates(report: &TrainReport, seconds_per_step: f64) -> (f64, f64) {
    let tokens_per_second = (report.batch * report.context) as f64 / seconds_per_step;
    (tokens_per_second, tokens_per_second * report.flop_per_token)
}

impl TrainReport {
    /// Empty report for a shape.
    pub(super) fn of(shape: &stepwell_train::model::config::ModelConfig) -> Self {
        TrainReport {
            parameters: shape.parameter_counts().total,
            context: shape.context,
            flop_formula: flops::FORMULA,
            flop_per_token: flops::per_token(shape),
            ..TrainReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(system: &'static str, mode: Mode, threads: usize, seconds: &[f64]) -> Row {
        Row {
            system,
            mode: mode.to_string(),
            dtype: mode.dtype(),
            threads,
            version: String::new(),
            seconds_per_step: median(seconds),
            cpu_seconds_per_step: Some(if system == OURS { 2.0 } else { 3.0 }),
            tokens_per_second: 0.0,
            model_flops_per_second: 50.0,
            mfu: None,
            peak_memory_mib: Some(if system == OURS { 70.0 } else { 100.0 }),
            waiting_share: 0.0,
            startup_seconds: 0.0,
            first_step_seconds: 0.0,
            gemm_flops_per_second: 100.0 * threads as f64,
            seconds: seconds.to_vec(),
            losses: vec![3.0, 2.0, 1.0],
        }
    }

    fn concluded(rows: Vec<Row>) -> TrainReport {
        let mut report = TrainReport { steps_per_round: 2, rows, ..TrainReport::default() };
        report.conclude();
        report
    }

    #[test]
    fn speed_is_a_ratio_of_medians_with_the_range_of_its_rounds() {
        let ours = row(OURS, Mode::F32, 2, &[1.0, 1.0, 2.0, 2.0, 9.0, 9.0]);
        let theirs = row(THEIRS, Mode::F32, 2, &[2.0, 2.0, 3.0, 3.0, 9.0, 9.0]);
        let report = concluded(vec![ours, theirs]);
        let speed = &report.speed[0];
        assert_eq!((speed.value, speed.least, speed.most), (1.5, Some(1.0), Some(2.0)));
        assert_eq!((speed.goal.as_deref(), speed.met), (Some(">= 1.35"), Some(true)));
        assert_eq!((report.cpu[0].value, report.cpu[0].met), (1.5, None));
        assert_eq!((report.memory[0].value, report.memory[0].met), (0.7, Some(true)));
    }

    #[test]
    fn only_equal_threads_meet_and_more_threads_are_compared_with_fewer() {
        let rows = vec![
            row(OURS, Mode::F32, 1, &[2.0, 2.0]),
            row(THEIRS, Mode::F32, 1, &[2.0, 2.0]),
            row(OURS, Mode::F32, 2, &[1.0, 1.0]),
            row(THEIRS, Mode::F32, 2, &[2.0, 2.0]),
        ];
        let report = concluded(rows);
        let values: Vec<f64> = report.speed.iter().map(|ratio| ratio.value).collect();
        assert_eq!(values, [1.0, 2.0]);
        let scaling: Vec<(&str, f64, Option<bool>)> =
            report.scaling.iter().map(|ratio| (&*ratio.name, ratio.value, ratio.met)).collect();
        assert_eq!(
            scaling,
            [("stepwell f32, 2 threads / 1", 2.0, Some(true)), ("torch f32, 2 threads / 1", 1.0, None)]
        );
    }

    #[test]
    fn our_bf16_is_compared_with_our_f32_and_with_theirs() {
        let mut reduced = row(OURS, Mode::Bf16, 1, &[0.5, 0.5]);
        reduced.losses[2] = 1.5;
        let exact = row(OURS, Mode::F32, 1, &[1.0, 1.0]);
        let report = concluded(vec![exact, reduced, row(THEIRS, Mode::Bf16Compile, 1, &[1.0, 1.0])]);
        let speed: Vec<(&str, f64, Option<bool>)> =
            report.speed.iter().map(|ratio| (&*ratio.name, ratio.value, ratio.met)).collect();
        assert_eq!(
            speed,
            [
                ("stepwell f32 / torch bf16-compile, 1 threads", 1.0, None),
                ("stepwell bf16 / stepwell f32, 1 threads", 2.0, None),
                ("stepwell bf16 / torch bf16-compile, 1 threads", 2.0, Some(true)),
            ]
        );
        assert_eq!(report.memory.len(), 2, "a goal against theirs only");
        let deviation = &report.deviations[1];
        assert_eq!((&*deviation.of, &*deviation.from), ("stepwell bf16", "stepwell f32"));
        assert_eq!((deviation.largest, deviation.met), (0.5, None));
    }

    #[test]
    fn mfu_is_a_share_of_the_best_product_of_its_number_format_and_threads() {
        let mut faster = row(THEIRS, Mode::F32, 1, &[1.0, 1.0]);
        faster.gemm_flops_per_second = 200.0;
        let rows = vec![row(OURS, Mode::F32, 1, &[1.0, 1.0]), faster, row(THEIRS, Mode::Bf16, 1, &[1.0, 1.0])];
        let report = concluded(rows);
        let shares: Vec<Option<f64>> = report.rows.iter().map(|row| row.mfu).collect();
        assert_eq!(shares, [Some(0.25), Some(0.25), Some(0.5)]);
        assert_eq!(report.peaks[0].by, "torch f32");
    }

    #[test]
    fn the_largest_deviation_of_the_losses_is_found_and_nan_is_not_hidden() {
        let ours = row(OURS, Mode::F32, 1, &[1.0, 1.0]);
        let mut theirs = row(THEIRS, Mode::F32, 1, &[1.0, 1.0]);
        theirs.losses = vec![3.0, 2.25, 1.125];
        let found = deviation(&ours, &theirs);
        assert_eq!((found.largest, found.at_step, found.steps, found.met), (0.25, 2, 3, Some(false)));
        theirs.losses[1] = f64::NAN;
        let found = deviation(&ours, &theirs);
        assert!(found.largest.is_nan() && found.met == Some(false));
        let reduced = row(THEIRS, Mode::Bf16, 1, &[1.0, 1.0]);
        assert_eq!(deviation(&ours, &reduced).met, None);
    }
}

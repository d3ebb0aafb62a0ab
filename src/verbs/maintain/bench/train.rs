//! `stepwell bench train`: measures how fast this machine trains, with and without PyTorch.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::report::number;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;
use stepwell_bench::train::{self, Comparison, Mode, TrainOptions, TrainReport};
use stepwell_train::precision::Precision;

/// Measure training steps per second, on request in turns with PyTorch
#[derive(Args, Debug)]
pub struct TrainArgs {
    /// Model preset to train
    #[arg(long, value_name = "NAME", default_value = "deep60")]
    pub preset: String,
    /// Samples per step [default: 2 for deep60, else 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Tokens per sample [default: the preset's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub context: Option<u32>,
    /// Token file of one long text, in place of drawn tokens: output `tokens` of a `tokenize` step
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Also train the same model with this library, in alternating turns
    #[arg(long, value_name = "LIBRARY", value_parser = ["torch"])]
    pub against: Option<String>,
    /// Number formats of PyTorch; `-compile` uses `torch.compile`, which takes minutes to start
    #[arg(long, value_name = "MODE", value_delimiter = ',', default_values = ["f32", "bf16"],
        value_parser = PossibleValuesParser::new(Mode::NAMES).try_map(|name| name.parse::<Mode>()))]
    pub modes: Vec<Mode>,
    /// Number formats of our matrix products, `f32` or `bf16`; several are measured in turns
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', default_values = ["f32"], value_parser = precision())]
    pub precision: Vec<Precision>,
    /// Threads of each contestant; several numbers are each measured [default: all cores]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Vec<u16>,
    /// Turns of each contestant
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub rounds: usize,
    /// Training steps per turn
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub steps: usize,
    /// Peak learning rate, low enough that rounding differences do not grow
    #[arg(long, value_name = "RATE", default_value_t = 3e-4)]
    pub learning_rate: f64,
    /// Freeze the embedding and the lowest N blocks; FLOP are counted as if they were trained
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub freeze_layers: usize,
    /// Weight of the z-loss, 0 for none; losses are compared without it
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.0)]
    pub z_loss: f64,
    /// Device to train on: `auto`, `flex` (CPU), `cuda` or another backend
    #[arg(long, value_name = "NAME", default_value = "flex")]
    pub device: String,
    /// Python interpreter that has PyTorch
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
    /// Only write the files of the contestants into this folder, for programs that start them on their own
    #[arg(long, value_name = "DIR", hide = true)]
    pub prepare: Option<PathBuf>,
}

/// Parses the name of a number format.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::NAMES).try_map(|name| name.parse::<Precision>())
}

pub fn train(session: &Session, args: &TrainArgs) -> Result<Exit, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = TrainOptions {
        preset: args.preset.clone(),
        batch: args.batch.map(|batch| batch as usize),
        context: args.context.map(|context| context as usize),
        tokens: args.tokens.clone(),
        torch: if args.against.is_some() { args.modes.clone() } else { Vec::new() },
        threads: match args.threads.as_slice() {
            [] => vec![cores],
            threads => threads.iter().map(|count| usize::from(*count)).collect(),
        },
        rounds: args.rounds,
        steps: args.steps,
        learning_rate: args.learning_rate,
        freeze_layers: args.freeze_layers,
        z_loss: args.z_loss,
        precisions: args.precision.clone(),
        device: args.device.clone(),
        python: args.python.clone(),
    };
    if let Some(folder) = &args.prepare {
        train::prepare(&options, folder)?;
        session.out.document("prepared", json!({ "bench": "train", "prepared": folder }))?;
        return Ok(Exit::Ok);
    }
    let report = train::train(&options, &|text| session.out.message(text))?;
    session.out.document(&human(&report), json!({ "bench": "train", "report": report }))?;
    Ok(Exit::Ok)
}

fn human(report: &TrainReport) -> String {
    let TrainReport { preset, batch, context, device, rounds, steps_per_round, .. } = report;
    let mut text = format!(
        "{preset}: {} parameters, batch {batch} x {context}, {device}, {rounds} rounds of {steps_per_round} steps\n\n",
        report.parameters
    );
    text.push_str(&rows(report));
    for (title, comparisons) in [
        ("speed, theirs / ours in seconds", &report.speed),
        ("processor time, theirs / ours", &report.cpu),
        ("peak memory, ours / theirs", &report.memory),
        ("more threads", &report.scaling),
    ] {
        if !comparisons.is_empty() {
            text.push('\n');
            text.push_str(&compared(title, comparisons));
        }
    }
    if !report.deviations.is_empty() {
        let header = ["largest difference of losses", "threads", "steps", "value", "at step", "goal", ""];
        let deviations = report.deviations.iter().map(|found| {
            vec![
                format!("{} from {}", found.of, found.from),
                found.threads.to_string(),
                found.steps.to_string(),
                format!("{:.2e}", found.largest),
                found.at_step.to_string(),
                found.goal.clone().unwrap_or_default(),
                verdict(found.met),
            ]
        });
        text.push('\n');
        text.push_str(&table(&header, deviations.collect()));
    }
    text.push_str(&format!("\nFLOP {}: {:.0} M per token\n", report.flop_formula, report.flop_per_token / 1e6));
    for peak in &report.peaks {
        let rate = number(peak.flops_per_second / 1e9);
        text.push_str(&format!(
            "peak of MFU, {}, {} threads: {rate} GFLOP/s, a matrix product of {}\n",
            peak.dtype, peak.threads, peak.by
        ));
    }
    text.push_str(&format!(
        "{} cores; load before: {}; after: {}",
        report.cores, report.load_before, report.load_after
    ));
    text
}

fn rows(report: &TrainReport) -> String {
    let header = [
        "contestant",
        "threads",
        "s/step",
        "CPU s/step",
        "tok/s",
        "GFLOP/s",
        "MFU",
        "peak MiB",
        "waiting",
        "start s",
        "first step s",
    ];
    let rows = report.rows.iter().map(|row| {
        vec![
            row.name(),
            row.threads.to_string(),
            format!("{:.4}", row.seconds_per_step),
            row.cpu_seconds_per_step.map_or_else(String::new, |seconds| format!("{seconds:.4}")),
            number(row.tokens_per_second),
            number(row.model_flops_per_second / 1e9),
            row.mfu.map_or_else(String::new, percent),
            row.peak_memory_mib.map_or_else(String::new, number),
            percent(row.waiting_share),
            number(row.startup_seconds),
            number(row.first_step_seconds),
        ]
    });
    table(&header, rows.collect())
}

fn compared(title: &str, comparisons: &[Comparison]) -> String {
    let rows = comparisons.iter().map(|found| {
        vec![
            found.name.clone(),
            number(found.value),
            found.least.map_or_else(String::new, number),
            found.most.map_or_else(String::new, number),
            found.goal.clone().unwrap_or_default(),
            verdict(found.met),
        ]
    });
    table(&[title, "ratio", "least", "most", "goal", ""], rows.collect())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn verdict(met: Option<bool>) -> String {
    met.map_or("", |met| if met { "met" } else { "missed" }).to_owned()
}

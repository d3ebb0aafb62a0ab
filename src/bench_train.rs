//! `stepwell bench train`: measures how fast this machine trains, with and without PyTorch.

use serde_json::json;

use super::args::BenchTrainArgs;
use super::bench::number;
use super::error::CliError;
use super::exit_code::Exit;
use super::output::table;
use super::session::Session;
use stepwell_bench::train::{self, Comparison, TrainOptions, TrainReport};

pub fn train(session: &Session, args: &BenchTrainArgs) -> Result<Exit, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = TrainOptions {
        preset: args.preset.clone(),
        batch: args.batch.map(|batch| batch as usize),
        context: args.context.map(|context| context as usize),
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

//! Arguments of `stepwell bench`, except for measurements against Python.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use stepwell_bench::Case;

#[cfg(feature = "train")]
use super::peers::{BenchContestantArgs, BenchGenerateArgs, BenchTokenizeArgs, BenchTrainArgs};

#[derive(Subcommand, Debug)]
pub enum BenchVerb {
    /// Measure steps per second, start-up and idle cost, each against the floor of this disk and kernel
    Engine(BenchEngineArgs),
    /// Measure training steps per second, on request in turns with PyTorch
    #[cfg(feature = "train")]
    Train(BenchTrainArgs),
    /// Measure generated tokens per second, on request in turns with `transformers`
    #[cfg(feature = "train")]
    Generate(BenchGenerateArgs),
    /// Measure text encoded per second, on request in turns with `tokenizers`
    #[cfg(feature = "train")]
    Tokenize(BenchTokenizeArgs),
    /// Run one side of a measurement; commands come on standard input
    #[cfg(feature = "train")]
    #[command(hide = true)]
    Contestant(BenchContestantArgs),
}

#[derive(Args, Debug)]
pub struct BenchEngineArgs {
    /// Measure only these cases (repeatable); `scale` and `million` take minutes and run only when named
    #[arg(long, value_name = "CASE", value_delimiter = ',', value_parser = PossibleValuesParser::new(Case::NAMES).try_map(|name| name.parse::<Case>()))]
    pub only: Vec<Case>,
    /// Use small sizes: seconds instead of a minute
    #[arg(long)]
    pub quick: bool,
    /// Keep every core busy during the measurement
    #[arg(long)]
    pub busy: bool,
    /// Measure in a temporary folder below this one [default: beside the state directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Number of measurements of each rate; medians are reported
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Number of step rows in `million`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: usize,
}

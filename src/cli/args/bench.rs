//! What is measured.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use crate::bench::Case;

#[cfg(feature = "train")]
use super::peers::{BenchContestantArgs, BenchGenerateArgs, BenchTokenizeArgs, BenchTrainArgs};

#[derive(Subcommand, Debug)]
pub enum BenchVerb {
    /// Steps per second, start-up and idle cost, each next to the floor of this disk and this kernel
    Engine(BenchEngineArgs),
    /// Training steps per second, next to PyTorch's in turns
    #[cfg(feature = "train")]
    Train(BenchTrainArgs),
    /// Tokens per second of generation, next to those of `transformers` in turns
    #[cfg(feature = "train")]
    Generate(BenchGenerateArgs),
    /// Text per second of encoding, next to that of `tokenizers` in turns
    #[cfg(feature = "train")]
    Tokenize(BenchTokenizeArgs),
    /// One side of a measurement, told on standard input what to do
    #[cfg(feature = "train")]
    #[command(hide = true)]
    Contestant(BenchContestantArgs),
}

#[derive(Args, Debug)]
pub struct BenchEngineArgs {
    /// Only these cases (repeatable); `scale` and `million` take minutes and run only when named
    #[arg(long, value_name = "CASE", value_delimiter = ',', value_parser = PossibleValuesParser::new(Case::NAMES).try_map(|name| name.parse::<Case>()))]
    pub only: Vec<Case>,
    /// Small sizes: seconds instead of a minute
    #[arg(long)]
    pub quick: bool,
    /// Keep every core busy meanwhile
    #[arg(long)]
    pub busy: bool,
    /// Measure in a temporary folder below this one [default: beside the state directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How often to measure each rate; medians are reported
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Step rows of `million`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: usize,
}

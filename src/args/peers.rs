//! Arguments of measurements against Python libraries, such as `stepwell bench train`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use stepwell_bench::train::Mode;
use stepwell_train::precision::Precision;

#[derive(Args, Debug)]
pub struct BenchTrainArgs {
    /// Model preset to train
    #[arg(long, value_name = "NAME", default_value = "deep60")]
    pub preset: String,
    /// Samples per step [default: 2 for deep60, else 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Tokens per sample [default: the preset's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub context: Option<u32>,
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
}

#[derive(Args, Debug)]
pub struct BenchGenerateArgs {
    /// Model preset to generate with, untrained
    #[arg(long, value_name = "NAME", default_value = "deep60")]
    pub preset: String,
    /// Also generate with this library, in alternating turns
    #[arg(long, value_name = "LIBRARY", value_parser = ["transformers"])]
    pub against: Option<String>,
    /// Tokens per prompt
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub prompt: u16,
    /// Tokens to add to each prompt
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub new_tokens: u16,
    /// Threads of each contestant [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Turns of each contestant
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Python interpreter that has `transformers`
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

#[derive(Args, Debug)]
pub struct BenchTokenizeArgs {
    /// Text to encode: a source of `corpus.import`, such as a file, or the built-in corpus
    #[arg(long, value_name = "SOURCE", default_value = "builtin:grammar")]
    pub corpus: String,
    /// Documents to take from the built-in corpus
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub documents: u64,
    /// Vocabulary size of the tokenizer that is trained on the text
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub vocab_size: u32,
    /// Also encode with this library, in alternating turns
    #[arg(long, value_name = "LIBRARY", value_parser = ["tokenizers"])]
    pub against: Option<String>,
    /// Threads of each contestant
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Turns of each contestant
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Python interpreter that has `tokenizers`
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

#[derive(Args, Debug)]
pub struct BenchContestantArgs {
    /// Kind of measurement
    pub task: Task,
    /// Folder with the measurement's files
    pub folder: PathBuf,
    /// Number format of the matrix products of `train`
    #[arg(long, default_value = "f32", value_parser = precision())]
    pub precision: Precision,
}

fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::NAMES).try_map(|name| name.parse::<Precision>())
}

/// A measurement against a Python library.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Task {
    Train,
    Generate,
    Tokenize,
}

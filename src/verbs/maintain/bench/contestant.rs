//! `stepwell bench contestant`: our side of a measurement against Python.

use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "train")]
use super::train::precision;
use crate::error::CliError;
use crate::exit_code::Exit;
use stepwell_bench::infer;
#[cfg(feature = "train")]
use stepwell_bench::{generate, tokenize, train};
use stepwell_inference::Dtype;
#[cfg(feature = "train")]
use stepwell_train::precision::Precision;

/// Run one side of a measurement; commands come on standard input
#[derive(Args, Debug)]
pub struct ContestantArgs {
    /// Kind of measurement
    pub task: Task,
    /// Folder with the measurement's files
    pub folder: PathBuf,
    /// Number format of the matrix products of `train`
    #[cfg(feature = "train")]
    #[arg(long, default_value = "f32", value_parser = precision())]
    pub precision: Precision,
    /// Form of the weights of `infer`
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
}

/// A measurement against a Python library.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Task {
    #[cfg(feature = "train")]
    Train,
    #[cfg(feature = "train")]
    Generate,
    Infer,
    #[cfg(feature = "train")]
    Tokenize,
}

pub fn contestant(args: &ContestantArgs) -> Result<Exit, CliError> {
    match args.task {
        #[cfg(feature = "train")]
        Task::Train => train::work(&args.folder, args.precision)?,
        #[cfg(feature = "train")]
        Task::Generate => generate::work(&args.folder)?,
        Task::Infer => infer::work(&args.folder, args.dtype)?,
        #[cfg(feature = "train")]
        Task::Tokenize => tokenize::work(&args.folder)?,
    }
    Ok(Exit::Ok)
}

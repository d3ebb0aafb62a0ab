//! `stepwell bench contestant`: our side of a measurement against Python.

use std::path::PathBuf;

use clap::Args;

use super::train::precision;
use crate::error::CliError;
use crate::exit_code::Exit;
use stepwell_bench::{generate, tokenize, train};
use stepwell_train::precision::Precision;

/// Run one side of a measurement; commands come on standard input
#[derive(Args, Debug)]
pub struct ContestantArgs {
    /// Kind of measurement
    pub task: Task,
    /// Folder with the measurement's files
    pub folder: PathBuf,
    /// Number format of the matrix products of `train`
    #[arg(long, default_value = "f32", value_parser = precision())]
    pub precision: Precision,
}

/// A measurement against a Python library.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Task {
    Train,
    Generate,
    Tokenize,
}

pub fn contestant(args: &ContestantArgs) -> Result<Exit, CliError> {
    match args.task {
        Task::Train => train::work(&args.folder, args.precision)?,
        Task::Generate => generate::work(&args.folder)?,
        Task::Tokenize => tokenize::work(&args.folder)?,
    }
    Ok(Exit::Ok)
}

//! `stepwell model`: presets, and models from elsewhere.

#[cfg(feature = "train")]
mod describe;
mod import;
#[cfg(feature = "train")]
mod logits;

#[cfg(feature = "train")]
use std::path::PathBuf;

use clap::Subcommand;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
pub use import::ImportArgs;

/// Describe the model presets, and import models
#[derive(Subcommand, Debug)]
pub enum ModelVerb {
    Import(ImportArgs),
    /// Print the exact number of parameters of a preset, part by part
    #[cfg(feature = "train")]
    Describe {
        /// Name of a preset: tiny, quickstart, small, deep60 or deep60-ungated
        #[arg(value_name = "PRESET")]
        name: String,
    },
    /// Print logits and losses of given token windows, for comparison with other implementations
    #[cfg(feature = "train")]
    #[command(hide = true)]
    Logits {
        /// Folder with `config.json` and `model.safetensors`
        folder: PathBuf,
        /// JSON file: {"windows": [[token ids]]}
        #[arg(long)]
        ids: PathBuf,
    },
    /// Print token ids of every non-empty line of a text, for comparison with other implementations
    #[cfg(feature = "train")]
    #[command(hide = true)]
    Tokenise {
        /// Path of a tokenizer.json
        tokenizer: PathBuf,
        /// Text file to encode
        text: PathBuf,
        /// Maximum number of lines
        #[arg(long, default_value_t = 1000)]
        lines: usize,
    },
}

pub fn model(session: &Session, verb: &ModelVerb) -> Result<Exit, CliError> {
    match verb {
        ModelVerb::Import(args) => import::import(session, args),
        #[cfg(feature = "train")]
        ModelVerb::Describe { name } => describe::describe(session, name).map(|()| Exit::Ok),
        #[cfg(feature = "train")]
        ModelVerb::Logits { folder, ids } => logits::logits(session, folder, ids).map(|()| Exit::Ok),
        #[cfg(feature = "train")]
        ModelVerb::Tokenise { tokenizer, text, lines } => {
            logits::tokenise(session, tokenizer, text, *lines).map(|()| Exit::Ok)
        }
    }
}

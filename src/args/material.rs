//! Arguments for workflows, models and artifacts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::assignment::assignment;
use super::control::OptionalRun;

#[derive(Subcommand, Debug)]
pub enum WorkflowVerb {
    /// List the workflows that can be run by name
    List,
    /// Print the file of a workflow: its steps and parameters, with comments
    Show {
        /// Name of a workflow, or path of a TOML file
        workflow: String,
    },
    /// Check a workflow and its parameters without running it
    Validate(WorkflowArgs),
    /// Print the steps as a graph in Graphviz's dot language
    Graph(WorkflowArgs),
    /// Print the JSON schema of workflow files
    Schema,
}

#[derive(Args, Debug)]
pub struct WorkflowArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    /// Set a parameter (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

#[cfg(feature = "train")]
#[derive(Subcommand, Debug)]
pub enum ModelVerb {
    /// Print the exact number of parameters of a preset, part by part
    Describe {
        /// tiny, quickstart, small, deep60 or deep60-ungated
        #[arg(value_name = "PRESET")]
        name: String,
    },
    /// Print logits and losses of given token windows, for comparison with other implementations
    #[command(hide = true)]
    Logits {
        /// Folder with `config.json` and `model.safetensors`
        folder: PathBuf,
        /// JSON file: {"windows": [[token ids]]}
        #[arg(long)]
        ids: PathBuf,
    },
    /// Print token ids of every non-empty line of a text, for comparison with other implementations
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

#[derive(Subcommand, Debug)]
pub enum ArtifactVerb {
    /// List the artifacts of a run
    Ls(OptionalRun),
    /// Show the content of an artifact
    Show(ArtifactSelector),
    /// Copy an artifact out of the store
    Get {
        #[command(flatten)]
        artifact: ArtifactSelector,
        /// File or folder to create
        dest: PathBuf,
    },
    /// Read every byte of the outputs and checkpoints of a run, or of all runs, and compare digests
    Verify {
        /// Id, unique prefix of an id, name, or `last` [default: all runs]
        #[arg(value_name = "RUN", conflicts_with = "provenance")]
        run: Option<String>,
        /// Compare a copy with its provenance manifest; needs no state directory
        #[arg(long, num_args = 2, value_names = ["FILE", "PATH"])]
        provenance: Option<Vec<PathBuf>>,
    },
    /// Print the origin of an artifact: steps, arguments, inputs back to the imports, environments
    Provenance {
        #[command(flatten)]
        artifact: ArtifactSelector,
        /// Write the manifest to a new file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub struct ArtifactSelector {
    /// A digest, a unique prefix of one, RUN/STEP/NAME, or STEP/NAME of the newest run
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
}

#[cfg(feature = "train")]
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Run whose model is used: id, unique prefix, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Text to continue
    #[arg(short, long, default_value = "", allow_hyphen_values = true)]
    pub prompt: String,
    /// Maximum number of tokens to generate
    #[arg(short = 'n', long, default_value_t = 64)]
    pub max_new_tokens: usize,
    /// Randomness of the choice; 0 always picks the likeliest token
    #[arg(short, long, default_value_t = 0.8, allow_negative_numbers = true)]
    pub temperature: f32,
    /// Sample only from the k likeliest tokens
    #[arg(long)]
    pub top_k: Option<usize>,
    /// Sample only from the likeliest tokens that together have this probability
    #[arg(long, allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Seed of the random choices; the same seed gives the same text
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

//! Errors of benchmarks, with advice for the user.

use std::io;
use std::path::PathBuf;

use stepwell_store::StoreError;

/// Reason why a benchmark fails.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
    /// The measured process did not do what it should.
    #[error("`stepwell {command}` {what}")]
    Child { command: String, what: String },
    /// A program measured for comparison did not do what it should.
    #[error("{name} {what}")]
    Contestant { name: String, what: String },
    #[error("cannot start `{program}`")]
    Program { program: String, source: io::Error },
    #[error("`{program}` has no Python module `{module}`")]
    Missing { program: String, module: String },
    #[error("there is no preset `{name}`")]
    Preset { name: String, known: &'static [&'static str] },
    /// Tokens from elsewhere that not every contestant would see alike.
    #[error("`{}` cannot be trained on by all contestants: {what}", .path.display())]
    Tokens { path: PathBuf, what: String },
    #[error("{prompt} tokens of a prompt and {new_tokens} new ones do not fit a context of {context}")]
    NoRoom { prompt: usize, new_tokens: usize, context: usize },
    #[error(transparent)]
    Model(#[from] stepwell_models::ModelError),
    #[error(transparent)]
    Inference(#[from] stepwell_inference::EngineError),
    #[error("the model cannot be written for llama.cpp")]
    Gguf(#[from] stepwell_models::WriteError),
    #[cfg(feature = "train")]
    #[error(transparent)]
    Shape(#[from] stepwell_train::model::config::ConfigError),
    #[cfg(feature = "train")]
    #[error(transparent)]
    Plan(#[from] stepwell_train::training::plan::PlanError),
    #[cfg(feature = "train")]
    #[error(transparent)]
    Device(#[from] stepwell_train::device::DeviceError),
    #[cfg(feature = "train")]
    #[error(transparent)]
    Data(#[from] stepwell_train::data::DataError),
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] stepwell_train::training::TrainError),
    #[cfg(feature = "train")]
    #[error(transparent)]
    Weights(#[from] stepwell_train::model::weights::WeightsError),
}

impl BenchError {
    pub(super) fn system(action: &'static str) -> impl FnOnce(io::Error) -> BenchError {
        move |source| BenchError::System { action, source }
    }

    /// Advice for the user.
    pub fn hint(&self) -> Option<String> {
        match self {
            BenchError::Missing { program, module } if module == "llama_cpp" => Some(format!(
                "`{program} -m pip install llama-cpp-python numpy`, or name another interpreter with `--python`"
            )),
            BenchError::Missing { program, .. } => Some(format!(
                "`{program} -m pip install -r scripts/golden/requirements.txt`, or name another interpreter with `--python`"
            )),
            BenchError::Program { .. } => {
                Some("name a Python interpreter with `--python`, or leave `--against` out".to_owned())
            }
            BenchError::Tokens { .. } => {
                Some("give the output `tokens` of a `tokenize` step over one long text".to_owned())
            }
            BenchError::Preset { known, .. } => Some(format!("use one of: {}", known.join(", "))),
            _ => None,
        }
    }
}

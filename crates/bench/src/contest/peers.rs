//! Python programs for comparison. They are embedded in this program, so that the binary alone can measure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::BenchError;

const FILES: [(&str, &str); 5] = [
    ("bench_line.py", include_str!("../../../../scripts/bench_line.py")),
    ("bench_torch.py", include_str!("../../../../scripts/bench_torch.py")),
    ("bench_generate.py", include_str!("../../../../scripts/bench_generate.py")),
    ("bench_infer.py", include_str!("../../../../scripts/bench_infer.py")),
    ("bench_tokenize.py", include_str!("../../../../scripts/bench_tokenize.py")),
];

/// Work that the Python side does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// Trains with PyTorch.
    #[cfg(feature = "train")]
    Train,
    /// Generates with `transformers`.
    #[cfg(feature = "train")]
    Generate,
    /// Computes a given model with `transformers` or `llama-cpp-python`.
    Infer,
    /// Encodes with `tokenizers`.
    #[cfg(feature = "train")]
    Tokenize,
}

impl Peer {
    fn script(self) -> &'static str {
        match self {
            #[cfg(feature = "train")]
            Peer::Train => "bench_torch.py",
            #[cfg(feature = "train")]
            Peer::Generate => "bench_generate.py",
            Peer::Infer => "bench_infer.py",
            #[cfg(feature = "train")]
            Peer::Tokenize => "bench_tokenize.py",
        }
    }

    /// Builds the command of a contestant: `PYTHON SCRIPT FOLDER MODE THREADS`.
    pub fn command(self, python: &Path, folder: &Path, mode: &str, threads: usize) -> Result<Command, BenchError> {
        let scripts: PathBuf = folder.join("scripts");
        fs::create_dir_all(&scripts).map_err(BenchError::system("make a temporary folder"))?;
        for (name, text) in FILES {
            fs::write(scripts.join(name), text).map_err(BenchError::system("write a script"))?;
        }
        let mut command = Command::new(python);
        command.arg(scripts.join(self.script())).arg(folder).arg(mode).arg(threads.to_string());
        Ok(command)
    }
}

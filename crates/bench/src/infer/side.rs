//! The contestants: our engine with each form of weights, and the libraries.

use std::path::Path;

use super::library::Library;
use super::options::InferOptions;
use super::worker::Turn;
use crate::contest::{Contestant, Launch, Peer};
use crate::error::BenchError;
use crate::observe::stepwell;
use stepwell_inference::Dtype;

/// Who computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    Ours(Dtype),
    Theirs(Library),
}

impl Who {
    /// Prefix of the names of its figures.
    pub fn prefix(self) -> String {
        match self {
            Who::Ours(dtype) => dtype.name().to_owned(),
            Who::Theirs(library) => library.name().replace('-', "_"),
        }
    }

    pub fn decodes(self, batch: usize) -> bool {
        match self {
            Who::Ours(_) => true,
            Who::Theirs(library) => batch <= library.most_rows(),
        }
    }
}

/// A contestant that runs.
pub(super) struct Side {
    pub who: Who,
    pub contestant: Contestant,
}

impl Side {
    /// Starts a contestant for the material in `folder`.
    pub fn start(who: Who, options: &InferOptions, folder: &Path) -> Result<Side, BenchError> {
        let threads = options.threads;
        let (name, command) = match who {
            Who::Ours(dtype) => {
                let arguments = ["bench", "contestant", "infer", "--dtype", dtype.name()];
                let mut command = stepwell(&folder.join("state"), &arguments)?;
                command.arg(folder);
                (format!("stepwell {}", dtype.name()), command)
            }
            Who::Theirs(library) => {
                let command = Peer::Infer.command(&options.python, folder, library.name(), threads)?;
                (library.name().to_owned(), command)
            }
        };
        let log = folder.join(format!("{}.log", who.prefix()));
        let contestant = Contestant::start(Launch { name, command, threads, log })?;
        Ok(Side { who, contestant })
    }

    pub fn decode(&mut self, batch: usize) -> Result<Turn, BenchError> {
        self.contestant.ask(&format!("decode {batch}"))
    }

    pub fn prefill(&mut self) -> Result<Turn, BenchError> {
        self.contestant.ask("prefill")
    }
}

//! Encodes all documents, ours and theirs, round after round.

use std::path::PathBuf;

use super::material;
use super::worker::Encoded;
use crate::contest::{Contestant, Launch, Peer, in_turns};
use crate::error::BenchError;
use crate::observe::{load, stepwell};
use crate::statistics::Report;

/// Options of `bench tokenize`.
#[derive(Clone, Debug)]
pub struct TokenizeOptions {
    /// Source for `corpus.import`.
    pub corpus: String,
    /// Number of documents of the built-in corpus.
    pub documents: u64,
    pub vocab_size: u32,
    /// Interpreter for `tokenizers`; `None` measures ours alone.
    pub tokenizers: Option<PathBuf>,
    pub threads: usize,
    pub rounds: usize,
}

const RATES: [&str; 2] = ["stepwell", "tokenizers"];
const GOAL: f64 = 3.0;

/// Encodes with every contestant and removes the temporary folder afterwards.
///
/// # Errors
/// When the material cannot be made, a contestant cannot be started or fails, or the ids differ.
pub fn tokenize(options: &TokenizeOptions, say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let folder = tempfile::Builder::new().prefix("stepwell-bench-").tempdir();
    let folder = folder.map_err(BenchError::system("make a temporary folder"))?;
    let folder = folder.path();
    say("importing documents and training a tokenizer");
    material::write(folder, &options.corpus, options.documents, options.vocab_size)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Report { cores, load_before: load(), ..Report::default() };

    let threads = options.threads;
    let mut command = stepwell(&folder.join("state"), &["bench", "contestant", "tokenize"])?;
    command.arg(folder);
    let ours = Launch { name: "stepwell".to_owned(), command, threads, log: folder.join("stepwell.log") };
    let mut contestants = vec![Contestant::start(ours)?];
    if let Some(python) = &options.tokenizers {
        let command = Peer::Tokenize.command(python, folder, "-", threads)?;
        let theirs = Launch { name: "tokenizers".to_owned(), command, threads, log: folder.join("python.log") };
        contestants.push(Contestant::start(theirs)?);
    }
    let mut first: Option<u32> = None;
    for round in 0..options.rounds.max(1) {
        say(&format!("round {} of {}", round + 1, options.rounds.max(1)));
        for index in in_turns(contestants.len(), round) {
            let contestant = &mut contestants[index];
            let Encoded { seconds, bytes, checksum } = contestant.ask("encode")?;
            if checksum != *first.get_or_insert(checksum) {
                let what = "gives other ids than the one before".to_owned();
                return Err(BenchError::Contestant { name: contestant.name.clone(), what });
            }
            report.add(RATES[index], "MB/s", bytes as f64 / 1e6 / seconds);
        }
    }
    report.load_after = load();
    let [ours, theirs] = RATES;
    report.at_least(ours, theirs, GOAL);
    Ok(report)
}

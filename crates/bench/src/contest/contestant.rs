//! One contestant: a child process that answers each line on its standard input with one line of JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::BenchError;
use crate::observe::memory;
use stepwell_steps::last_lines;

/// Number of lines shown from a failed contestant's standard error.
const LAST_WORDS: usize = 6;

/// Settings for starting a contestant.
pub(crate) struct Launch {
    /// For example `torch f32`.
    pub name: String,
    pub command: Command,
    /// Number of threads that the contestant may use.
    pub threads: usize,
    /// File that receives its standard error.
    pub log: PathBuf,
}

/// First line that a contestant prints.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hello {
    /// The contestant accepts requests.
    Ready { version: String },
    /// A required Python module is not installed.
    Missing(String),
}

/// A running contestant; dropping it kills the process.
pub(crate) struct Contestant {
    pub name: String,
    pub threads: usize,
    /// Version of the library that does the work.
    pub version: String,
    /// Time from the start of the process until it accepted requests.
    pub startup_seconds: f64,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Contestant {
    /// Starts the contestant and waits until it is ready.
    ///
    /// # Errors
    /// `Program` when it cannot be started, `Missing` when it lacks a module, `Contestant` when it ends early.
    pub fn start(launch: Launch) -> Result<Contestant, BenchError> {
        let Launch { name, mut command, threads, log } = launch;
        let program = command.get_program().to_string_lossy().into_owned();
        let count = threads.to_string();
        for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, &count);
        }
        // Our contestant keeps freed memory, as workers of the engine do; other programs do not know this variable.
        command.env("MIMALLOC_PURGE_DELAY", "-1");
        let errors = File::create(&log).map_err(BenchError::system("write a log"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|source| BenchError::Program { program: program.clone(), source })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::Contestant { name, what: "has no pipes".to_owned() });
        };
        let output = BufReader::new(output).lines();
        let version = String::new();
        let mut contestant = Contestant { name, threads, version, startup_seconds: 0.0, child, input, output, log };
        match contestant.answer()? {
            Hello::Ready { version } => contestant.version = version,
            Hello::Missing(module) => return Err(BenchError::Missing { program, module }),
        }
        contestant.startup_seconds = started.elapsed().as_secs_f64();
        Ok(contestant)
    }

    /// Sends a line and waits for the answer.
    ///
    /// # Errors
    /// [`BenchError::Contestant`] when the process has ended or gives another answer.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &str) -> Result<T, BenchError> {
        if writeln!(self.input, "{request}").and_then(|()| self.input.flush()).is_err() {
            return Err(self.ended());
        }
        self.answer()
    }

    /// Peak memory in MiB; Linux only.
    pub fn peak(&self) -> Option<f64> {
        memory(self.child.id(), "VmHWM:")
    }

    /// Processor time of all threads so far, in seconds with a resolution of 10 ms; Linux only.
    #[cfg(feature = "train")]
    pub fn cpu_seconds(&self) -> Option<f64> {
        crate::observe::usage(self.child.id()).map(|usage| usage.ticks as f64 / 100.0)
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T, BenchError> {
        let Some(Ok(line)) = self.output.next() else { return Err(self.ended()) };
        serde_json::from_str(&line).map_err(|error| {
            let what = format!("answered `{line}`: {error}");
            BenchError::Contestant { name: self.name.clone(), what }
        })
    }

    fn ended(&mut self) -> BenchError {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let words = last_lines(&self.log, LAST_WORDS);
        BenchError::Contestant { name: self.name.clone(), what: format!("ended with {status}: {words}") }
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // The process may already have ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

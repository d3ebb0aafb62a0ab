//! One contestant: a child process that answers each line of its standard input with one of JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bench::error::BenchError;
use crate::bench::observe::{memory, usage};
use crate::steps::last_lines;

/// Lines of a failed contestant's standard error that are shown.
const LAST_WORDS: usize = 6;

/// How a contestant is started.
pub(in crate::bench) struct Launch {
    /// Such as `torch f32`.
    pub name: String,
    pub command: Command,
    /// Threads that it may use.
    pub threads: usize,
    /// Takes its standard error.
    pub log: PathBuf,
}

/// The first line of a contestant.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hello {
    /// It can be asked now.
    Ready { version: String },
    /// A Python module that it needs is not installed.
    Missing(String),
}

/// A running contestant; it is killed when it is dropped.
pub(in crate::bench) struct Contestant {
    pub name: String,
    pub threads: usize,
    /// Version of the library that does the work.
    pub version: String,
    /// From the start of the process until it could be asked.
    pub startup_seconds: f64,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Contestant {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, or lacks a module.
    pub fn start(launch: Launch) -> Result<Contestant, BenchError> {
        let Launch { name, mut command, threads, log } = launch;
        let program = command.get_program().to_string_lossy().into_owned();
        let count = threads.to_string();
        for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, &count);
        }
        // Ours keeps its memory, as the engine starts workers; others do not know the variable.
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
    /// When the process has ended or says something else.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &str) -> Result<T, BenchError> {
        if writeln!(self.input, "{request}").and_then(|()| self.input.flush()).is_err() {
            return Err(self.ended());
        }
        self.answer()
    }

    /// The most memory that it has had, MiB; Linux only.
    pub fn peak(&self) -> Option<f64> {
        memory(self.child.id(), "VmHWM:")
    }

    /// Processor time of all its threads so far, in steps of 10 ms; Linux only.
    pub fn cpu_seconds(&self) -> Option<f64> {
        usage(self.child.id()).map(|usage| usage.ticks as f64 / 100.0)
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
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Runs this program on its own state directory, to kill it and compare its results.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::error::CliError;
use stepwell_base::protocol::TUNING_FILE;
use stepwell_run::status::RunStatus;
use stepwell_steps::{last_lines, own_binary};
use stepwell_store::{Reader, StepRow};

/// Standard error of the program under test, in its state directory.
const LOG: &str = "trial.log";
/// Number of log lines that an error quotes.
const LOG_LINES: usize = 20;

/// Creates a trial folder in `parent`, or in the system's temporary folder; dropping it removes the folder.
pub fn temporary_folder(prefix: &str, parent: Option<&Path>) -> Result<TempDir, CliError> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    tempfile::Builder::new().prefix(prefix).tempdir_in(&parent).map_err(|error| {
        CliError::io("create a temporary folder in", &parent, error)
            .hint("set `TMPDIR` to a folder that exists and that you can write to")
    })
}

pub struct ProcessUnderTest(Child);

impl ProcessUnderTest {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The exit status; `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, CliError> {
        self.0.try_wait().map_err(watching)
    }

    pub fn wait(&mut self) -> Result<ExitStatus, CliError> {
        self.0.wait().map_err(watching)
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) -> Result<(), CliError> {
        self.0.kill().map_err(watching)
    }
}

fn watching(error: io::Error) -> CliError {
    CliError::internal("watch the run under test", error)
}

pub struct Trial {
    pub state: PathBuf,
}

impl Trial {
    pub fn new(state: PathBuf) -> Result<Trial, CliError> {
        std::fs::create_dir_all(&state).map_err(|error| CliError::io("create", &state, error))?;
        Ok(Trial { state })
    }

    /// Makes it train with the kernels that another trial chose, if any: on a GPU, sums of different kernels differ in
    /// their last bits.
    pub fn with_kernels_of(self, other: &Trial) -> Result<Trial, CliError> {
        let (from, to) = (other.state.join(TUNING_FILE), self.state.join(TUNING_FILE));
        match std::fs::copy(&from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CliError::io("copy", &from, error)),
            _ => Ok(self),
        }
    }

    /// Starts this program; its output is shown only if it fails.
    pub fn start<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<ProcessUnderTest, CliError> {
        let path = self.state.join(LOG);
        let log = File::create(&path).map_err(|error| CliError::io("create", &path, error))?;
        let program = own_binary().map_err(|error| CliError::internal("find this program", error))?;
        let mut command = Command::new(&program);
        command.arg("--state-dir").arg(&self.state);
        command.arg("--export-dir").arg(self.state.with_file_name("exports")).args(arguments);
        // Nobody wants to hear of runs that are killed on purpose.
        command.env("STEPWELL_NOTIFY", "off");
        // Engines that are killed on purpose are not a crash loop.
        command.env("STEPWELL_CRASH_LOOP_LIMIT", "0");
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        started.map(ProcessUnderTest).map_err(|error| CliError::io("start", &program, error))
    }

    pub fn finish(&self, process: &mut ProcessUnderTest) -> Result<(), CliError> {
        let status = process.wait()?;
        if status.success() { Ok(()) } else { Err(self.ended(status)) }
    }

    /// The error for a program that ended too early; quotes its last output as the reason.
    pub fn ended(&self, status: ExitStatus) -> CliError {
        CliError::failed(format!("the run under test ended with {status}:\n{}", self.log()))
    }

    fn log(&self) -> String {
        last_lines(&self.state.join(LOG), LOG_LINES)
    }

    /// The steps of the run, which must have succeeded.
    pub fn steps(&self) -> Result<Vec<StepRow>, CliError> {
        let reader = Reader::open(&self.state)?;
        let run = reader.resolve_run("last")?;
        let row = reader.run(run)?;
        if row.status != RunStatus::Succeeded {
            return Err(CliError::failed(format!("the run under test is {}: {}", row.status.as_str(), self.log())));
        }
        Ok(reader.steps(run)?)
    }

    /// The digest of every artifact that the run made, keyed by `step/name`.
    pub fn outputs(&self) -> Result<BTreeMap<String, String>, CliError> {
        let mut all = BTreeMap::new();
        for step in self.steps()? {
            let Some(outputs) = &step.outputs else { continue };
            for (name, artifact) in &outputs.artifacts {
                all.insert(format!("{}/{name}", step.id), artifact.digest.to_string());
            }
        }
        Ok(all)
    }
}

/// Names of the outputs that differ or that only one side has.
pub fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

//! This program on a state directory of its own, to be killed and compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::error::CliError;
use crate::core::protocol::TUNING_FILE;
use crate::core::status::RunStatus;
use crate::steps::own_binary;
use crate::store::{Reader, StepRow};

/// What the program under test said, in its state directory.
const LOG: &str = "trial.log";

pub struct Trial {
    pub state: PathBuf,
}

impl Trial {
    pub fn new(state: PathBuf) -> Result<Trial, CliError> {
        std::fs::create_dir_all(&state)?;
        Ok(Trial { state })
    }

    /// Has it train with the kernels of another trial, where there are several: on a GPU their sums differ in last bits.
    pub fn with_kernels_of(self, other: &Trial) -> Result<Trial, CliError> {
        match std::fs::copy(other.state.join(TUNING_FILE), self.state.join(TUNING_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(self),
        }
    }

    /// Starts this program; what it says is only shown when it fails.
    pub fn start<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Child, CliError> {
        let log = File::create(self.state.join(LOG))?;
        let mut command = Command::new(own_binary()?);
        command.arg("--state-dir").arg(&self.state).args(arguments);
        // Engines that are killed on purpose are no crash loop.
        command.env("STEPWELL_CRASH_LOOP_LIMIT", "0");
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
    }

    pub fn finish(&self, child: &mut Child) -> Result<(), CliError> {
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(self.ended(status)) }
    }

    /// The program ended too early; what it said last is its reason.
    pub fn ended(&self, status: ExitStatus) -> CliError {
        CliError::failed(format!("the run under test ended with {status}:\n{}", self.log().trim_end()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.state.join(LOG)).unwrap_or_default()
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

    /// The digest of every artifact that the run made, by step and name.
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

/// Names of the outputs that differ or that only one of the two has.
pub fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

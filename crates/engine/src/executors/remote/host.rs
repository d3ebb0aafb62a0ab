//! The interface of an executor to the system that it places attempts on.

use std::time::Duration;

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

use super::folder::{JobFolder, append_bytes, read_from};
use super::messages::Job;
use crate::executors::executor::{AttemptId, Exit};

/// One attempt as its system knows it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub id: AttemptId,
    /// The folder on this machine.
    pub folder: JobFolder,
}

impl Place {
    /// Name of the attempt on the other side: no other attempt has it, and it is known before anything is submitted.
    pub(super) fn key(&self) -> String {
        format!("stepwell-{}", self.id.holder())
    }
}

/// State of an attempt on the other side.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum JobState {
    /// The system knows nothing of it: it was never submitted, or it ended long ago.
    Absent,
    /// Submitted, and not started, for this reason.
    Waiting(String),
    Running,
    /// Ended, with the system's own evidence. The agent's last line says more, if there is one.
    Ended(Exit),
}

/// How much a copy of the log matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    /// Within a second or so.
    Soon,
    /// Now, to its end.
    Whole,
}

#[derive(Debug)]
pub(super) enum HostError {
    /// The system has refused the attempt, and would refuse it again.
    Refused(Failure),
    /// There is no answer. That says nothing about the attempt.
    Unreachable(String),
}

/// A system that runs agents, as the thread of one attempt sees it: it may wait.
pub(super) trait Host: Send {
    /// Time between two looks at what the agent tells.
    fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Starts an agent. The caller has seen with [`Host::look`] that none exists.
    fn submit(&mut self, place: &Place, job: &Job) -> Result<(), HostError>;

    fn look(&mut self, place: &Place) -> Result<JobState, HostError>;

    /// Ends the agent and every process of the attempt. [`Host::look`] says when they are gone.
    fn kill(&mut self, place: &Place) -> Result<(), HostError>;

    /// True if an agent has started the attempt.
    fn has_started(&mut self, place: &Place) -> Result<bool, HostError> {
        Ok(place.folder.is_claimed())
    }

    /// Returns what the agent has told from `offset` on, or the start of it.
    fn told(&mut self, place: &Place, offset: u64) -> Result<Vec<u8>, HostError> {
        read_from(&place.folder.told(), offset).map_err(|error| unreachable(place, &error))
    }

    /// Appends lines to the engine's orders. After an error it may have happened.
    fn order(&mut self, place: &Place, lines: &[u8]) -> Result<(), HostError> {
        append_bytes(&place.folder.orders(), lines).map_err(|error| unreachable(place, &error))
    }

    /// Copies what is new in the log of the attempt, on systems that share no folder with this machine.
    fn copy_log(&mut self, _place: &Place, _job: &Job, _need: Need) -> Result<(), HostError> {
        Ok(())
    }

    /// Copies artifacts that the attempt has published into the store here.
    fn bring(&mut self, _place: &Place, _job: &Job, _artifacts: &[ArtifactRef]) -> Result<(), HostError> {
        Ok(())
    }
}

fn unreachable(place: &Place, error: &std::io::Error) -> HostError {
    HostError::Unreachable(format!("`{}`: {error}", place.folder.path().display()))
}
